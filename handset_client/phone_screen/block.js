// The second step of "Decline and block this shop": says what it does, and asks once more.

import { el, fill } from "./dom.js";

/** `confirmed` is called when the person means it. The dialog is the browser's own: focus stays in it. */
export function blockDialog({ texts }, payment, settle, confirmed) {
  const back = el("button", { type: "button", class: "button text", onclick: () => dialog.close() }, texts.block_back);
  const block = el("button", { type: "button", class: "button danger", onclick: () => leave(confirmed) }, texts.block_confirm);
  const dialog = el(
    "dialog",
    { class: "ask", role: "alertdialog", "aria-labelledby": "block-title", "aria-describedby": "block-text" },
    el("h2", { id: "block-title" }, fill(texts.block_title, { merchant: payment.merchant })),
    el("p", { id: "block-text" }, texts.block_text),
    el("div", { class: "actions" }, back, block),
  );
  let waking = 0;
  dialog.addEventListener("close", () => clearTimeout(waking));

  function leave(then) {
    dialog.close();
    then();
  }

  return {
    dialog,
    open() {
      if (dialog.open) return;
      // As for a new request: the second click of a double click was not meant for this button.
      block.disabled = true;
      waking = setTimeout(() => (block.disabled = false), settle);
      dialog.showModal();
    },
    close: () => dialog.close(),
  };
}
