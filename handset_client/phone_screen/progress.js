// An approved payment on its way: what to do now, and a line of steps from the reader to the receipt.

import { amount, drawing, el, icon, say } from "./dom.js";

const STAGES = ["reader", "bank", "card", "pin", "result"];
const HEROES = { reader: "hero-reader", bank: "hero-bank", card: "hero-card", card_sent: "hero-sealed", pin: "hero-pin", pin_sent: "hero-sealed", ending: "hero-bank", asking: "hero-bank" };

export function progress({ texts, state, send, announce }) {
  const payment = state.payment;
  const hero = el("div", { class: "hero" });
  const head = el("h1", { id: "progress-title", tabindex: "-1" });
  const text = el("p", { class: "text" });
  const readerLine = el("p", { class: "reader-line", hidden: true });
  const banner = el("div", { class: "banner", hidden: true });
  const bannerWords = el("p", {});
  banner.append(icon("alert"), bannerWords);
  const marks = STAGES.map(() => el("span", { class: "dot" }));
  const says = STAGES.map(() => el("span", { class: "visually-hidden" }));
  const items = STAGES.map((stage, at) => el("li", {}, marks[at], el("span", {}, texts[`stage_${stage}`]), says[at]));
  const callOff = el("button", { type: "button", class: "button outlined wide", onclick: () => press() }, texts.call_off);
  const tooLate = el("p", { class: "note" }, texts.too_late);
  let drawn = null;
  let spoken = null;
  let canCallOff = false;

  function press() {
    if (canCallOff && send({ type: "press", payment_id: payment.id, approved: false })) callOff.disabled = true;
  }

  function update(next) {
    const now = next.payment;
    canCallOff = now.can_call_off;
    if (drawn !== now.head) {
      drawn = now.head;
      hero.replaceChildren(drawing(HEROES[now.head]));
    }
    say(head, texts[`head_${now.head}`]);
    say(text, now.text);
    const at = STAGES.indexOf(now.stage);
    items.forEach((item, index) => {
      const place = index < at ? "done" : index > at ? "todo" : now.ending ? "stopped" : "current";
      if (item.className === `is-${place}`) return;
      item.className = `is-${place}`;
      item.toggleAttribute("aria-current", false);
      if (place === "current") item.setAttribute("aria-current", "step");
      marks[index].replaceChildren(...(place === "done" ? [icon("check")] : place === "stopped" ? [icon("close")] : []));
      say(says[index], place === "done" ? ` (${texts.stage_done})` : place === "current" ? ` (${texts.stage_current})` : "");
    });
    const trouble = next.reader.light === "trouble" && !now.ending;
    banner.hidden = !trouble;
    // Which reader is being connected; the line of a reader that is there says no more than the steps.
    readerLine.hidden = next.reader.light !== "busy" || next.reader.text === null;
    say(readerLine, next.reader.text ?? "");
    say(bannerWords, trouble ? next.reader.text : "");
    callOff.hidden = !now.can_call_off;
    callOff.disabled = false;
    tooLate.hidden = now.can_call_off || now.ending || now.answered;
    const words = trouble ? next.reader.text : `${head.textContent}. ${now.text}`;
    if (words !== spoken) {
      spoken = words;
      announce(words);
    }
  }

  const element = el(
    "section",
    { class: "progress", "aria-labelledby": "progress-title" },
    el("div", { class: "sum" }, el("span", {}, payment.merchant, el("span", {}, payment.order)), amount(payment.amount, "")),
    hero,
    head,
    text,
    readerLine,
    banner,
    el("ol", { class: "steps", "aria-label": texts.progress }, ...items),
    el("div", { class: "foot" }, callOff, tooLate),
  );
  update(state);
  return { element, update, keys: { d: press } };
}
