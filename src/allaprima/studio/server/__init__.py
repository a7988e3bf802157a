"""How people and programs reach the engine: live socket, OpenAI's and A1111's routes, gallery, page. No torch."""
