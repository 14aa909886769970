// An agent in Node without any library: plain HTTP on port 8080.
"use strict";

const http = require("node:http");

const LIMIT_BYTES = 1024 * 1024;

class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function readJson(request) {
  let body = "";
  request.setEncoding("utf8");
  for await (const chunk of request) {
    body += chunk;
    if (body.length > LIMIT_BYTES) throw new Refused(413, "cannot read the body: it is too large");
  }
  try {
    return JSON.parse(body);
  } catch (error) {
    throw new Refused(400, `cannot read the body as JSON: ${error.message}`);
  }
}

function answer(response, status, value) {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

async function invoke(request, response) {
  const { numbers } = (await readJson(request)) ?? {};
  if (!Array.isArray(numbers)) throw new Refused(422, 'cannot add: "numbers" must be an array');
  answer(response, 200, { sum: numbers.reduce((sum, number) => sum + Number(number), 0) });
}

async function route(request, response) {
  if (request.method === "GET" && request.url === "/health") return answer(response, 200, { status: "Healthy" });
  if (request.method === "POST" && request.url === "/invocations") return invoke(request, response);
  throw new Refused(404, `cannot find ${request.method} ${request.url}`);
}

const server = http.createServer((request, response) => {
  route(request, response).catch((error) => {
    if (!(error instanceof Refused)) console.error(error);
    answer(response, error.status ?? 500, { detail: error.status ? error.message : "cannot answer: see the log" });
  });
});

// Longer than the gateway keeps an idle connection, so that it never sends a request into one that is closing.
server.keepAliveTimeout = 3700 * 1000;
server.listen(8080, "0.0.0.0", () => console.log("serving on port 8080"));

// Stop accepting, let requests in flight finish, exit with 0.
process.on("SIGTERM", () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});
