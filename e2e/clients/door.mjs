// Connections from a source address of one's own, with a note of each request's answer.
import http from "node:http";

/** The address of client i, spread over `addresses` of them: unlike in the first three octets, all that ip_hash looks at. */
export const address = (i, addresses) => `127.0.${1 + (i % addresses)}.${1 + (i % addresses)}`;

/**
 * An agent that the Socket.IO client gives to polling and WebSocket alike. It opens every connection from `from`
 * ("" leaves the choice to the system) and notes each answer, and each connection that failed, in `answers`.
 */
export class Door extends http.Agent {
  answers = []; // {method, transport, sid, status, worker, via, from}: status 101 for a WebSocket, 0 for none
  errors = {}; // code of a failed connection to how often

  constructor(from, keepAlive) {
    super({ ...(from && { localAddress: from }), keepAlive });
  }

  addRequest(request, options) {
    // The client's xhr for Node forgets the brackets of an IPv6 address, which nginx refuses.
    if (/^[^[].*:.*:/.test(request.getHeader("host"))) request.setHeader("host", `[${options.host}]:${options.port}`);
    const query = new URLSearchParams(request.path.split("?")[1]);
    const note = (response) => {
      this.answers.push({
        method: request.method,
        transport: query.get("transport"),
        sid: query.get("sid") ?? "",
        status: response.statusCode,
        worker: response.headers["x-samedoor-worker"] ?? "",
        via: response.headers["x-samedoor-via"] ?? "",
        from: response.socket.localAddress,
      });
    };
    request.once("response", note);
    request.once("upgrade", note);
    request.once("error", (error) => {
      if (this.over) return;
      const code = error.code ?? error.message;
      this.errors[code] = (this.errors[code] ?? 0) + 1;
    });
    super.addRequest(request, options);
  }

  /** That requests end from now on is no news. */
  shut() {
    this.over = true;
  }

  /** Asks for JSON as the page does, by an xhr of the same client. */
  json(url) {
    return new Promise((resolve, reject) => {
      http.get(url, { agent: this }, (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (part) => (body += part));
        response.on("end", () => {
          try {
            resolve(JSON.parse(body));
          } catch (error) {
            reject(error);
          }
        });
        response.on("error", reject);
      }).on("error", reject);
    });
  }

  /** Where the client is told to connect to: `url` itself, but where the server routes. */
  async route(url, asks) {
    return asks ? (await this.json(`${url}/route`)).url : url;
  }
}
