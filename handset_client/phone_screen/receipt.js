// How a payment ended and what to do next; right after it, and later from the history.

import { amount, drawing, el, icon } from "./dom.js";
import { wordOf } from "./home.js";

const SIGNS = {
  completed: "M38 62 54 78 84 46",
  not_settled: "M43 43 77 77M77 43 43 77",
  unknown: "M47 47a13.5 13.5 0 1 1 19 12.500c-4.5 2.5-6 5-6 9.500M60 84v.2",
  see_reader: "M30 60s11-20 30-20 30 20 30 20-11 20-30 20-30-20-30-20ZM60 60v.2",
};

/** `item` is the payment; `close` is what Done or Back does; `late` for one opened from the history. */
export function receipt({ texts, state }, item, close, late) {
  const badge = drawing("badge");
  badge.querySelector(".sign").setAttribute("d", SIGNS[item.outcome]);
  const when = new Intl.DateTimeFormat(state.language, { dateStyle: "medium", timeStyle: "short" });
  const lines = [
    [texts.shop, item.merchant],
    [texts.for, item.order],
    item.last_four ? [texts.card, texts.card_ending.replace("{last_four}", item.last_four)] : null,
    [texts.when, when.format(item.at * 1000)],
  ].filter(Boolean);
  const why = item.why !== null ? sentence(item.why, state.language) : item.outcome === "see_reader" ? item.happened : null;
  const urgent = item.outcome === "unknown" || item.outcome === "see_reader";
  const element = el(
    "section",
    { class: "receipt", "aria-labelledby": "receipt-title" },
    late
      ? el("header", { class: "bar with-back" }, back(texts, close), el("p", { class: "bar-title" }, texts.receipt))
      : null,
    el(
      "div",
      { class: "top" },
      el("div", { class: `badge ${item.outcome}` }, badge),
      el("h1", { id: "receipt-title", tabindex: "-1" }, texts[wordOf(item.outcome)]),
      why === null ? null : el("p", { class: "why" }, why),
      amount(item.amount, "display"),
      item.outcome === "completed"
        ? null
        : el("div", { class: urgent ? "advice urgent" : "advice" }, icon(urgent ? "alert" : "info"), el("p", {}, el("strong", {}, texts.next), item.next)),
      el("dl", { class: "slip" }, ...lines.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value)))),
    ),
    late ? null : el("div", { class: "foot" }, el("button", { type: "button", class: "button filled big wide", onclick: close }, texts.done)),
  );
  return { element, update() {}, keys: { Enter: close, Escape: close } };
}

export function back(texts, close) {
  return el("button", { type: "button", class: "icon-button", "aria-label": texts.back, onclick: close }, icon("back"));
}

/** A reason is part of a sentence in the texts; here it stands alone. */
function sentence(why, language) {
  return why[0].toUpperCase() + why.slice(1) + (language === "ja" ? "。" : ".");
}
