import assert from "node:assert/strict";
import { test } from "node:test";

import { Street } from "../static/street.js";

const shown = (owner, ...items) => ({ sessions: [{ owner }], items: items.map(([slot, via = null]) => ({ slot, via })) });

test("few workers all have a lane", () => {
  const street = new Street(4);
  assert.deepEqual([street.slots, street.others], [[0, 1, 2, 3], 0]);
});

test("of many, all that were touched have one, and the others are counted", () => {
  const street = new Street(16);
  assert.deepEqual([street.slots.length, street.others], [8, 8]);
  street.shows(shown(15, [15, 9]));
  assert.deepEqual([street.slots, street.others], [[0, 1, 2, 3, 4, 5, 9, 15], 8]);
  street.shows(shown(15, ...Array.from({ length: 12 }, (_, i) => [15, i])));
  assert.deepEqual([street.slots, street.others], [[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 15], 3]);
});

test("a cluster that grows and shrinks is followed, and a worker that left keeps its lane while its session is on show", () => {
  const street = new Street(4);
  let told = 0;
  street.addEventListener("change", () => told++);
  street.shows(shown(5, [5]));
  street.has([0, 1]);
  assert.deepEqual([street.slots, street.others], [[0, 1, 5], 0]);
  street.shows({ sessions: [], items: [] });
  assert.deepEqual(street.slots, [0, 1]);
  street.has([0, 1]);
  assert.equal(told, 3);
});
