// Small comforts of the start page; it works without them.

const form = document.getElementById("spawn_form");
const name = form.querySelector(".rs-name");
const button = form.querySelector("button[type=submit]");

// "My Analysis" becomes "my-analysis" as soon as the field is left.
name?.addEventListener("change", () => {
  name.value = name.value
    .trim()
    .toLowerCase()
    .replace(/[\s_.-]+/g, "-")
    .replace(/^-|-$/g, "");
});

// One click, one server.
const label = button.textContent;
form.addEventListener("submit", () => {
  button.disabled = true;
  button.textContent = "Starting…";
});
window.addEventListener("pageshow", () => {
  button.disabled = false;
  button.textContent = label;
});
