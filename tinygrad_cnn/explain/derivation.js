/* Code beside the equations, and every place of a symbol: under the pointer while it is there,
   after a click until the next. */

const derivation = document.querySelector(".derivation");

document.getElementById("code").addEventListener("click", (event) => {
  const shown = derivation.classList.toggle("with-code");
  event.currentTarget.setAttribute("aria-pressed", shown);
});

function mark(symbol, how) {
  for (const marked of derivation.querySelectorAll(`.${how}`)) marked.classList.remove(how);
  if (!symbol) return;
  const name = symbol.classList[1]; // "symbol s7"
  for (const place of derivation.querySelectorAll(`.${name}`)) place.classList.add(how);
}

derivation.addEventListener("pointerover", (event) => mark(event.target.closest(".symbol"), "lit"));
derivation.addEventListener("pointerleave", () => mark(null, "lit"));
derivation.addEventListener("click", (event) => {
  const symbol = event.target.closest(".symbol");
  if (symbol) mark(symbol.classList.contains("kept") ? null : symbol, "kept");
});

document.getElementById("copy").addEventListener("click", async (event) => {
  const code = event.currentTarget.parentElement.querySelector("pre");
  getSelection().selectAllChildren(code);
  const button = event.currentTarget;
  await navigator.clipboard?.writeText(code.textContent); // else the selection is there to copy
  button.textContent = "Copied";
});
