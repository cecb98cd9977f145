/** The server's figures: asked for each second, made rates of, and shown with their last three minutes. */

import { poll } from "./api.js";
import { byId, h, say } from "./dom.js";
import { formatNumber, formatSpan } from "./format.js";
import { History, mean, Rate } from "./rates.js";
import { drawSparkline } from "./sparkline.js";

const EVERY_MS = 1_000;
// Samples that a figure is the mean of: rates jump from second to second.
const SMOOTH = 5;
const SMOOTH_MINUTE = 60;

/** @typedef {import("./link.js").Link} Link */

/**
 * @typedef {object} Figure
 * @property {string} key
 * @property {string} text
 * @property {string} unit
 * @property {string} [total] of the summary's totals: the figure is its rate
 * @property {number} [times] the rate's factor: 60 for a minute's
 * @property {(summary: any) => number} [value] the figure as it is
 * @property {(summary: any, link: Link) => string} [note] beside it, small
 */

/** @type {Figure[]} */
const FIGURES = [
  {
    key: "sessions",
    text: "Sessions",
    unit: "",
    value: ({ sessions }) => sessions.grpc + sessions.websocket,
    note: ({ sessions }) => `${formatNumber(sessions.grpc)} gRPC, ${formatNumber(sessions.websocket)} WS`,
  },
  { key: "matches", text: "Matches", unit: "/min", total: "matches", times: 60, note: notFound },
  { key: "messages-in", text: "Messages in", unit: "/s", total: "messages_in", note: inAll("messages_in") },
  { key: "messages-out", text: "Messages out", unit: "/s", total: "messages_out", note: inAll("messages_out") },
  {
    key: "ack",
    text: "Ack latency",
    unit: "ms",
    value: ({ ack_latency_ms: acks }) => acks?.median ?? Number.NaN,
    note: ackNote,
  },
  { key: "drops", text: "Drops", unit: "/s", total: "drops", note: inAll("drops") },
  { key: "log-records", text: "Log records", unit: "/s", total: "log_records", note: inAll("log_records") },
  {
    key: "waiting",
    text: "Riders waiting",
    unit: "",
    value: ({ riders_waiting: waiting }) => waiting,
    note: ({ trips }) => `${formatNumber(trips)} ${trips === 1 ? "trip" : "trips"} under way`,
  },
];

/** The slowest of the server's, and what is between it and this page as well. */
function ackNote({ ack_latency_ms: acks }, link) {
  return `p99 ${formatNumber(acks?.p99)}, to here ${formatNumber(link.ackMs)} ms`;
}

/** @param {string} total */
function inAll(total) {
  return ({ totals }) => `${formatNumber(totals[total])} in all`;
}

function notFound({ totals }) {
  return `${formatNumber(totals.no_driver)} found no driver`;
}

/**
 * Show the figures and keep them current.
 * @param {Link} link of the feed: its heartbeats measure how soon acks are here
 * @returns {() => string} says them in a sentence
 */
export function showFigures(link) {
  const rows = FIGURES.map(newRow);
  byId("figures").append(...rows.map((row) => row.element));
  poll("summary", EVERY_MS, (summary) => {
    for (const row of rows) update(row, summary, link);
    say(byId("uptime"), `up ${formatSpan(summary.uptime_s)}`);
  });
  return () => rows.map(({ figure, value, note }) => sentence(figure, value.textContent, note.textContent)).join(", ");
}

const sentence = ({ text, unit }, value, note) => `${text} ${value} ${unit} ${note}`.trimEnd();

function newRow(figure) {
  const value = h("span", { class: "value" }, "–");
  const note = h("span", { class: "note" });
  const spark = h("canvas", { class: "spark", "aria-hidden": "true" });
  const element = h(
    "div",
    { class: "figure", id: `figure-${figure.key}` },
    h("dt", {}, figure.text),
    h("dd", {}, value, h("span", { class: "unit" }, figure.unit), note, spark),
  );
  return { figure, element, value, note, spark, rate: new Rate(), history: new History() };
}

function update({ figure, value, note, spark, rate, history }, summary, link) {
  const { total, times = 1 } = figure;
  if (total) history.push(rate.next(summary.totals[total], summary.at_unix_millis) * times);
  else history.push(figure.value(summary));
  const shown = total ? mean(history.values, times === 60 ? SMOOTH_MINUTE : SMOOTH) : history.last;
  say(value, formatNumber(shown));
  if (figure.note) say(note, figure.note(summary, link));
  drawSparkline(spark, history.values);
}
