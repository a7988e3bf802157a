"""Retouching: what is done to a picture after it was painted, each operation a function of a picture.

An operation is plain data in `core/retouch.py` and a piece of work here:

    def upscale(image: Image.Image, operation: Upscale, workshop: Workshop) -> Work: ...

It gets the picture as RGB, or as RGBA where something is transparent, and gives it back as either; it changes nothing
in place. `Work` is a generator: it yields the share that is done, 0 to 1, after each short piece (some tens of
milliseconds), so that others may do something in between, and closing it cancels the work. Its return value is the
picture. What takes time to load is kept by the `Workshop`. `retoucher.py` says which work belongs to which
operation, and does several in order.
"""
