// Node's own http module, no framework. Usage: node server.js PORT
"use strict";
const http = require("node:http");

const BLOB = Buffer.alloc(65536, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));

const is = (type) => (value) => typeof value === type;
const fields = (shape) => (value) =>
  value !== null && typeof value === "object" && Object.entries(shape).every(([name, good]) => good(value[name]));
const list = (good) => (value) => Array.isArray(value) && value.every(good);
const isLine = fields({ sku: Number.isInteger, name: is("string"), count: Number.isInteger, price: is("number") });
const isOrder = fields({
  id: Number.isInteger, user: is("string"), paid: is("boolean"), total: is("number"),
  note: is("string"), tags: list(is("string")), lines: list(isLine),
});

function send(response, status, type, body) {
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
const json = (response, value) => send(response, 200, "application/json", JSON.stringify(value));

function item(response, path, query) {
  const asked = new URLSearchParams(query);
  json(response, { sku: Number(path.slice(7)), full: asked.get("full") === "true", limit: Number(asked.get("limit")) });
}

function order(request, response) {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    let value;
    try {
      value = JSON.parse(Buffer.concat(parts).toString());
    } catch {
      return send(response, 400, "text/plain", "not JSON");
    }
    if (!isOrder(value)) return send(response, 422, "text/plain", "no order");
    json(response, value);
  });
}

const server = http.createServer((request, response) => {
  const [path, query] = request.url.split("?", 2);
  if (path === "/") return json(response, { msg: "ok" });
  if (path.startsWith("/items/")) return item(response, path, query);
  if (path === "/orders") return order(request, response);
  if (path === "/blob") return send(response, 200, "application/octet-stream", BLOB);
  if (path === "/yield") return void setImmediate(() => json(response, { msg: "ok" }));
  send(response, 404, "text/plain", "nothing here");
});
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
