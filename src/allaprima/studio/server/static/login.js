// Changes the token for a cookie that scripts cannot read. The address that is printed at the start carries the
// token behind its #, which browsers never send.
const form = document.getElementById("login");
const field = document.getElementById("token");
const answer = document.getElementById("answer");

async function login(token) {
  const response = await fetch("login", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token }),
  });
  if (response.ok) {
    location.replace("./");
    return;
  }
  const { error } = await response.json();
  answer.textContent = error.message;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  login(field.value);
});

function takeCarried() {
  const carried = decodeURIComponent(location.hash.slice(1));
  if (!carried) return;
  history.replaceState(null, "", location.pathname);
  login(carried);
}

window.addEventListener("hashchange", takeCarried);
takeCarried();
