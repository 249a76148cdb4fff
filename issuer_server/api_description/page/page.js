// Draws the page from /openapi.json. Text goes in as text only, never as markup.

const METHODS = ["get", "post", "put", "patch", "delete"];

function make(name, text, attributes = {}) {
  const element = document.createElement(name);
  if (text) element.textContent = text;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}

function resolved(api, schema) {
  if (!schema || !schema.$ref) return schema || {};
  return api.components.schemas[schema.$ref.split("/").pop()] || {};
}

function example(api, schema) {
  const known = resolved(api, schema);
  if (known.examples) return known.examples[0];
  if (known.type === "object") {
    const entries = Object.entries(known.properties || {});
    return Object.fromEntries(entries.map(([name, value]) => [name, example(api, value)]));
  }
  if (known.enum) return known.enum[0];
  return known.type === "integer" || known.type === "number" ? 1200 : "";
}

function describe(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.items) return `list of ${describe(schema.items)}`;
  return [].concat(schema.type || "").join(" or ") + (schema.pattern ? ` ${schema.pattern}` : "");
}

function fieldsTable(api, reference) {
  const schema = resolved(api, reference);
  const table = make("table");
  for (const [name, value] of Object.entries(schema.properties || {})) {
    const row = make("tr");
    const optional = !(schema.required || []).includes(name);
    row.append(make("th", name + (optional ? " (optional)" : ""), { scope: "row" }));
    row.append(make("td", [describe(value), value.description].filter(Boolean).join(". ")));
    table.append(row);
  }
  return table;
}

function answersTable(operation) {
  const table = make("table");
  for (const [status, answer] of Object.entries(operation.responses)) {
    const row = make("tr");
    const document = answer.content && answer.content["application/json"];
    row.append(make("th", status, { scope: "row" }), make("td", document ? describe(document.schema) : answer.description));
    table.append(row);
  }
  return table;
}

function freshKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(path, method, inputs, body, output) {
  let address = path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { parameter, input } of inputs) {
    if (!input.value) continue;
    if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query") query.set(parameter.name, input.value);
    if (parameter.in === "header") headers[parameter.name] = input.value;
  }
  if (address.includes("{")) {
    output.replaceChildren(make("p", "Fill in what the address needs.", { class: "bad" }));
    return;
  }
  const key = document.getElementById("key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  output.replaceChildren(make("p", "Waiting for the answer …"));
  try {
    const target = query.size ? `${address}?${query}` : address;
    const answer = await fetch(target, { method: method.toUpperCase(), headers, body: body ? body.value : undefined, credentials: "omit" });
    const text = await answer.text();
    let shown = text;
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch { /* no JSON: shown as it came */ }
    const status = `${answer.status} ${answer.statusText}, request ${answer.headers.get("X-Request-Id") || "without id"}`;
    output.replaceChildren(make("p", status, { class: answer.ok ? "good" : "bad" }), make("pre", shown));
  } catch {
    output.replaceChildren(make("p", "No answer came: is the issuer running?", { class: "bad" }));
  }
}

function tryIt(api, path, method, operation, section) {
  const inputs = (operation.parameters || []).map((parameter) => {
    const label = make("label", `${parameter.name}${parameter.required ? "" : " (optional)"}: ${parameter.description} `);
    const input = make("input", "", { type: "text", autocomplete: "off", spellcheck: "false" });
    if (parameter.name === "Idempotency-Key") input.value = freshKey();
    label.append(input);
    section.append(label);
    return { parameter, input };
  });
  let body = null;
  if (operation.requestBody) {
    const schema = operation.requestBody.content["application/json"].schema;
    section.append(make("h3", "Body"), fieldsTable(api, schema));
    const label = make("label", "JSON ");
    body = make("textarea", "", { spellcheck: "false" });
    body.value = JSON.stringify(example(api, schema), null, 2);
    label.append(body);
    section.append(label);
  }
  const output = make("div", "", { "aria-live": "polite" });
  const button = make("button", "Send", { type: "button" });
  button.addEventListener("click", () => send(path, method, inputs, body, output));
  section.append(button, output);
}

function draw(api) {
  document.getElementById("title").textContent = api.info.title;
  document.getElementById("about").textContent = api.info.description;
  const contents = document.getElementById("contents");
  const operations = document.getElementById("operations");
  operations.replaceChildren();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      contents.append(make("a", operation.operationId, { href: `#${operation.operationId}` }));
      const section = make("section", "", { id: operation.operationId });
      const title = make("h2");
      title.append(make("span", method.toUpperCase(), { class: "verb" }), path);
      section.append(title, make("p", operation.summary));
      tryIt(api, path, method, operation, section);
      section.append(make("h3", "Answers"), answersTable(operation));
      operations.append(section);
    }
  }
  const webhooks = make("section", "", { id: "webhooks" });
  contents.append(make("a", "webhooks", { href: "#webhooks" }));
  webhooks.append(make("h2", "Webhooks"));
  for (const [name, item] of Object.entries(api.webhooks)) {
    const schema = item.post.requestBody.content["application/json"].schema;
    webhooks.append(make("h3", name), make("p", `${describe(schema)}. ${item.post.summary}`));
  }
  operations.append(webhooks);
  const schemas = make("section");
  schemas.append(make("h2", "What is sent and answered"));
  for (const name of Object.keys(api.components.schemas)) {
    schemas.append(make("h3", name), fieldsTable(api, { $ref: `/${name}` }));
  }
  operations.append(schemas);
}

const answer = await fetch("/openapi.json", { credentials: "omit" });
draw(await answer.json());
