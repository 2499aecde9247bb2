// Only what makes a page that works already more comfortable: copying.
"use strict";

const announcement = document.createElement("p");
announcement.className = "unseen";
announcement.setAttribute("role", "status");
document.body.append(announcement);

async function copy(element) {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(element.textContent.trim());
    return;
  }
  // Browsers keep the clipboard from pages over plain http, as within a lab; what is selected they copy there too.
  getSelection().selectAllChildren(element);
  document.execCommand("copy");
}

function copies(button, element) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await copy(element);
    const word = button.textContent;
    if (word === button.dataset.done) return;
    button.textContent = announcement.textContent = button.dataset.done;
    setTimeout(() => { button.textContent = word; announcement.textContent = ""; }, 2000);
  });
}

// <button data-copy="ID" data-done="Copied">: copies the text of the element with that id.
for (const button of document.querySelectorAll("button[data-copy]")) {
  copies(button, document.getElementById(button.dataset.copy));
}

// <article data-copy-code="Copy" data-done="Copied">: every block of code in it gets such a button.
for (const article of document.querySelectorAll("[data-copy-code]")) {
  for (const code of article.querySelectorAll("pre")) {
    const box = document.createElement("div");
    const button = document.createElement("button");
    box.className = "code";
    button.type = "button";
    button.textContent = article.dataset.copyCode;
    button.dataset.done = article.dataset.done;
    code.replaceWith(box);
    box.append(code, button);
    copies(button, code);
  }
}
