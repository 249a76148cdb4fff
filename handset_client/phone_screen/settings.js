// Settings: language, theme, which reader, how requests call for attention.

import { notifyOn, setNotify, setSound, soundOn } from "./attention.js";
import { el, icon } from "./dom.js";
import { back } from "./receipt.js";

export function settings({ texts, state, send }, close) {
  const groups = { language: radios("language"), theme: radios("theme") };
  const readers = el("div", { class: "list" });
  const denied = el("p", { class: "small bad", role: "status" });
  let drawn = null;

  function radios(name) {
    const values = { language: [["en", "English", "en"], ["ja", "日本語", "ja"]], theme: ["system", "light", "dark"].map((value) => [value, texts[`theme_${value}`], null]) }[name];
    const inputs = values.map(([value]) => el("input", { type: "radio", name, value, onchange: () => send({ type: `set_${name}`, value }) }));
    const fieldset = el(
      "fieldset",
      {},
      el("legend", {}, texts[name]),
      el("div", { class: "segments" }, ...values.map(([, label, lang], at) => el("label", { lang }, inputs[at], icon("check"), label))),
    );
    return { fieldset, inputs };
  }

  function update(next) {
    for (const name of ["language", "theme"]) {
      for (const input of groups[name].inputs) input.checked = input.value === next[name];
    }
    const key = JSON.stringify(next.readers);
    if (key !== drawn) {
      drawn = key;
      const focused = readers.contains(document.activeElement) ? document.activeElement.value : null;
      readers.replaceChildren(...choices(next.readers));
      if (focused !== null) readers.querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
    }
  }

  function choices({ chosen, seen }) {
    const known = chosen === null || seen.includes(chosen) ? seen : [chosen, ...seen];
    const choice = (value, title, hint, code) =>
      el(
        "label",
        {},
        el("input", { type: "radio", name: "reader", value: value ?? "", checked: value === chosen, onchange: () => send({ type: "set_reader", value }) }),
        el("span", { class: code ? "words code" : "words" }, title, el("span", {}, hint)),
      );
    return [choice(null, texts.reader_any, texts.reader_any_hint, false), ...known.map((id) => choice(id, id, texts.reader_seen, true))];
  }

  const sound = el("input", { type: "checkbox", role: "switch", checked: soundOn(), onchange: () => setSound(sound.checked) });
  const notify = el("input", {
    type: "checkbox",
    role: "switch",
    checked: notifyOn(),
    async onchange() {
      const allowed = await setNotify(notify.checked);
      notify.checked = notifyOn();
      denied.textContent = allowed ? "" : texts.notify_denied;
    },
  });

  const element = el(
    "section",
    { class: "settings", "aria-labelledby": "settings-title" },
    el("header", { class: "bar with-back" }, back(texts, close), el("h1", { id: "settings-title", tabindex: "-1" }, texts.settings)),
    el(
      "div",
      { class: "content" },
      groups.language.fieldset,
      groups.theme.fieldset,
      el("fieldset", {}, el("legend", {}, texts.reader_choice), readers, el("p", { class: "small" }, texts.reader_next)),
      el(
        "fieldset",
        {},
        el("legend", {}, texts.attention),
        el("div", { class: "list" }, el("label", {}, el("span", { class: "words" }, texts.sound), sound), el("label", {}, el("span", { class: "words" }, texts.notify), notify)),
        denied,
      ),
      el("h2", {}, texts.privacy),
      el("div", { class: "privacy" }, icon("lock"), el("p", {}, texts.privacy_text)),
    ),
  );
  update(state);
  return { element, update, keys: { Escape: close } };
}
