// Keys, clicks on images and points, and the export: all without another server than this page's own.
var chosen = ""; // the object that was clicked
document.documentElement.classList.add("dark");
document.addEventListener("DOMContentLoaded", () => document.body.classList.add("dark"));

document.addEventListener("keydown", (event) => {
  const field = event.target.closest("input, textarea, select");
  const text = field && !["radio", "checkbox"].includes(field.type);
  if (text || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  const moves = { ArrowLeft: "previous", ArrowRight: "next", u: "undo" };
  const id = /^[0-5]$/.test(event.key) ? "rate-" + event.key : moves[event.key];
  if (!id || (field?.type === "radio" && event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  document.getElementById(id)?.click();
});

document.addEventListener("click", (event) => {
  // A choice made with the mouse gives the arrow keys back to the objects.
  const radio = event.target.closest("label")?.querySelector("input[type=radio]");
  if (radio && event.detail > 0) setTimeout(() => document.activeElement.blur());
  const place = event.target.closest("[data-place]")?.dataset.place;
  if (place === undefined) return;
  chosen = place;
  document.getElementById("jump").click();
});

function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
