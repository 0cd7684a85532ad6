// Comforts. Every page works without this file; nothing here decides anything.
"use strict";

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard.writeText(copy.dataset.copy);
    const before = copy.textContent;
    copy.textContent = "✓";
    setTimeout(() => { copy.textContent = before; }, 1500);
    return;
  }
  const toggle = event.target.closest("[data-toggle]");
  if (toggle) {
    event.preventDefault();
    const open = document.getElementById(toggle.dataset.toggle).classList.toggle("open");
    toggle.setAttribute("aria-expanded", String(open));
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-submit]")) event.target.form.requestSubmit();
  const all = event.target.closest("[data-check-all]");
  if (all) {
    for (const box of document.querySelectorAll(`input[name="${all.dataset.checkAll}"]`)) box.checked = all.checked;
  }
});

// On a phone the row of parts scrolls by itself: show where one is.
document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

for (const element of document.querySelectorAll("[data-hide]")) element.hidden = true;

// A secret behind the # goes into the form, and out of the address and the history.
const secret = document.querySelector("input[data-fragment]");
if (secret && location.hash.length > 1) {
  secret.value = decodeURIComponent(location.hash.slice(1));
  secret.closest(".field").hidden = true;
  history.replaceState(null, "", location.pathname);
}
