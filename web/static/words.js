// Everything the page says about a handshake, as plain functions of what is known: no DOM, easy to test.
import { count } from "./dom.js";
import { ownerOf } from "./slots.js";

const COUNTED = ["open", "post", "poll", "upgrade"]; // `close` is an event, not a request

/** What a recorded request means: {ok, stranger, forwarded, owner, other}; other: the slot it went by or should have gone to. */
export function judge(request, sid) {
  const { via = null, slot } = request;
  const owner = request.owner ?? ownerOf(sid);
  const ok = !request.error && (request.status ? request.status < 400 : true);
  const stranger = !ok && owner !== null && slot !== null && slot !== owner;
  const other = via ?? (stranger ? owner : null);
  return { ok, owner, forwarded: via !== null, stranger, other: other === slot ? null : other };
}

/** One sentence for a request that went wrong or took a way round; empty for the rest. */
export function why(request, sid) {
  const { ok, owner, forwarded, stranger } = judge(request, sid);
  const answer = `${request.status || ""}${request.error ? `: ${request.error}` : ""}`;
  if (stranger) {
    return `This request reached worker ${request.slot}. Its session lives in worker ${owner}, so worker ${request.slot} answered ${answer}.`;
  }
  if (!ok) return `Worker ${request.slot} answered ${answer}.`;
  if (forwarded) return `Worker ${request.via} → worker ${request.slot}: forwarded to where its session lives.`;
  return "";
}

/** 3 → "3 ms", 1234 → "1.2 s", 90000 → "1 min 30 s" */
export function time(ms) {
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds < 9.95 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.floor(Math.round(seconds) / 60);
  if (minutes < 60) return `${minutes} min${minutes < 10 && Math.round(seconds) % 60 ? ` ${Math.round(seconds) % 60} s` : ""}`;
  return `${Math.floor(minutes / 60)} h${minutes % 60 ? ` ${minutes % 60} min` : ""}`;
}

/** As time(), for what may be shorter than a millisecond. */
export const duration = (ms) => (ms < 0.95 ? "<1 ms" : time(ms));

const place = (url) => { try { return new URL(url).host; } catch { return url; } };

/** The sentence on top of the page. attempt: {sid, requests} of state.sid, may be undefined. */
export function verdict(state, attempt, { workers, origin }) {
  if (!state.wanted) return idle(state, attempt, workers);
  if (state.phase === "joined" && (state.transport === "websocket" || state.upgradeFailed)) return joined(state, attempt);
  if (state.error) return failing(state, attempt, origin);
  if (state.phase === "joined") {
    return { tone: "busy", title: "Connected over polling.", detail: "Now the client tries to upgrade to WebSocket." };
  }
  return { tone: "busy", title: "Knocking…", detail: "The browser opens a session and comes back to it with its next requests." };
}

function idle(state, attempt, workers) {
  if (!attempt) {
    return {
      tone: "idle",
      title: "Press Connect and watch which door each request goes to.",
      detail: workers > 1
        ? `A Socket.IO client makes several requests before it has a WebSocket. All of them must reach the one worker, of ${workers}, that holds its session.`
        : "A Socket.IO client makes several requests before it has a WebSocket. With one worker there is one door, and nothing can go wrong.",
    };
  }
  return { tone: "idle", title: "Disconnected.", detail: "The session is closed. What its requests met is kept below until you connect again." };
}

function joined(state, attempt) {
  const requests = (attempt?.requests ?? []).filter((request) => COUNTED.includes(request.step));
  const upgraded = state.transport === "websocket";
  const how = upgraded ? `Upgraded to WebSocket after ${duration(state.upgradedAt - state.startedAt)}.` : "";
  const back = state.away > 0 ? `Back after ${duration(state.away)}.` : "";
  const judged = requests.map((request) => ({ request, ...judge(request, attempt.sid) }));
  const wrong = judged.filter((one) => !one.ok);
  const detail = (...parts) => parts.filter(Boolean).join(" ");

  if (!upgraded) {
    const refused = wrong.find((one) => one.request.step === "upgrade") ?? wrong[0];
    const reason = refused?.stranger
      ? `It reached worker ${refused.request.slot}; the session lives in worker ${refused.owner}. `
      : refused ? `${why(refused.request, attempt.sid)} ` : "";
    return { tone: "warn", title: "The WebSocket was refused, so the client stays with polling.", detail: detail(back, `${reason}Every poll has to find the right door again.`) };
  }
  if (state.broken) { // luck is no cure
    return { tone: "warn", title: `This handshake came through. ${count(state.broken, "attempt")} before it broke.`, detail: detail("Requests reached workers that did not hold the session: 400 Session ID unknown.", how) };
  }
  if (!requests.length) return { tone: "good", title: how, detail: back };
  if (wrong.length) {
    return { tone: "warn", title: `${wrong.length} of ${requests.length} requests were answered by the wrong worker.`, detail: detail(back, how) };
  }
  const holders = [...new Set(requests.map((request) => request.slot))];
  const forwarded = judged.filter((one) => one.forwarded).length;
  if (holders.length > 1) return { tone: "good", title: `${count(requests.length, "request")}, answered by workers ${holders.join(" and ")}.`, detail: detail(back, how) };
  const title = `All ${requests.length} requests reached worker ${holders[0]}${forwarded ? `, ${forwarded} ${forwarded === 1 ? "was" : "were"} forwarded by a neighbour` : ""}.`;
  return { tone: "good", title, detail: detail(back, how) };
}

function failing(state, attempt, origin) {
  const { error } = state;
  const again = state.phase === "waiting"
    ? `The client starts over (attempt ${state.tries + 1}).`
    : `The client starts over (attempt ${state.tries}).`;
  const met = attempt?.requests.map((request) => ({ request, ...judge(request, attempt.sid) })).filter((one) => one.stranger)
    .sort((a, b) => (a.request.step === "upgrade") - (b.request.step === "upgrade"))[0]; // a refused upgrade alone breaks nothing
  const next = again.replace("starts over", "tries again");
  const bad = (title, ...detail) => ({ tone: "bad", title, detail: detail.join(" ") });

  if (error.kind === "namespace") return bad("A namespace was refused.", error.text);
  if (error.status === 403) return bad("The server refused this page's origin (403).", `${location.origin} is not among the origins that may connect.`,
    "A proxy in front probably rewrites Host (nginx needs proxy_set_header Host $http_host); else list the origin with --origins.", next);
  if (met) {
    return bad(
      `The handshake broke: its ${met.request.step} reached worker ${met.request.slot}, but the session lives in worker ${met.owner}.`,
      `Worker ${met.request.slot} answered ${met.request.status}: ${met.request.error ?? "refused"}.`, again);
  }
  if (error.status === 400) {
    const where = error.worker !== null ? `worker ${error.worker}` : "a worker";
    const owner = ownerOf(error.sid);
    // The workers' own account of it comes a moment later: this is told where it does not.
    return { tentative: true, ...bad(`The handshake broke: a request reached ${where}${owner !== null ? `, but the session lives in worker ${owner}` : ""}.`, `It answered 400: ${error.text}.`, again) };
  }
  if (error.kind === "lost") {
    const owner = ownerOf(error.sid);
    return bad(`The connection${owner !== null ? ` to worker ${owner}` : ""} was lost (${error.reason}).`, "The session went with it.", again);
  }
  if (error.status > 0) return bad(`The server answered ${error.status}.`, next);
  if (error.kind === "unreachable") {
    const ours = origin === location.origin;
    return bad(`Nothing answers at ${place(origin)}.`, ours ? "The server may be stopped, or starting." : "Its worker may be gone, or starting: this page, loaded again, is told where to connect now.", next);
  }
  return bad("The handshake broke.", error.text ? `The browser says: ${error.text}.` : "", again);
}
