// Follows the start of one server: the log as it comes, again after the network or the hub was away, and on to the
// server when it is ready.

import { duration } from "./words.js";

const RETRY_MS = [500, 1_000, 2_000, 4_000];
const ONWARD_MS = 400;
// The hub says something every 5 seconds. A proxy may hold a connection open to which nobody answers any more.
const SILENCE_MS = 12_000;

const LOST = "The connection to the hub is lost. Your server is not affected; trying again.";

const page = document.getElementById("waiting");
const at = (id) => document.getElementById(id);
const list = at("log").querySelector("ol");
const title = document.title;
const seen = new Set();
let failures = 0;
let begun = null;
let source = null;
let silence = null;
let leaving = false;

const key = (moment, message) => `${Date.parse(moment)} ${message}`;
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });

function adopt(line) {
  const time = line.querySelector("time");
  seen.add(key(time.dateTime, line.querySelector("span").textContent));
  begun ??= Date.parse(time.dateTime);
  time.textContent = clock.format(new Date(time.dateTime));
}

function append(moment, message) {
  if (seen.has(key(moment, message))) return;
  const line = document.createElement("li");
  const time = document.createElement("time");
  time.dateTime = moment;
  const text = document.createElement("span");
  text.textContent = message;
  line.append(time, " ", text);
  const box = at("log");
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  list.append(line);
  adopt(line);
  at("now").textContent = message;
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function advance(progress) {
  if (typeof progress !== "number") return;
  at("progress").value = progress;
  document.title = `${progress} % · ${title}`;
}

function ready(url) {
  at("now").textContent = "Your server is ready. Opening it.";
  advance(100);
  // JupyterHub keeps where somebody wanted to go in the address of its own page and goes there when it is loaded again.
  const wanted = new URLSearchParams(window.location.search).has("next");
  window.setTimeout(() => (wanted ? window.location.reload() : window.location.assign(url || page.dataset.next)), ONWARD_MS);
}

function fail(message) {
  page.dataset.state = "failed";
  document.title = title.replace(/^Starting/, "Could not start");
  at("heading").textContent = at("heading").textContent.trim().replace(/^Starting/, "Could not start");
  if (message) at("now").textContent = message;
  at("hint").hidden = true;
  at("stop").hidden = true;
  at("back").hidden = false;
}

function receive(data) {
  if (data.message && data.at) append(data.at, data.message);
  advance(data.progress);
  if (data.ready) ready(data.url);
  if (data.failed) fail(data.message);
  return data.ready || data.failed;
}

function heard() {
  window.clearTimeout(silence);
  silence = window.setTimeout(lost, SILENCE_MS);
}

function follow() {
  if (leaving) return;
  source = new EventSource(page.dataset.events);
  heard();
  source.onopen = () => {
    heard();
    failures = 0;
    at("connection").textContent = "";
  };
  source.addEventListener("keepalive", heard);
  source.onmessage = (event) => {
    heard();
    if (receive(JSON.parse(event.data))) hush();
  };
  source.onerror = lost;
}

function hush() {
  window.clearTimeout(silence);
  source?.close();
}

function lost() {
  hush();
  if (failures > 0) at("connection").textContent = LOST;
  window.setTimeout(again, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
}

// This page leads elsewhere when the server has become ready, is gone, or somebody has to log in again; and where the
// page answers and the stream does not, what this page knows is too old.
async function again() {
  try {
    const answer = await fetch(window.location.href, { redirect: "manual", signal: AbortSignal.timeout(SILENCE_MS) });
    const elsewhere = answer.type === "opaqueredirect" || answer.status === 404;
    if (!leaving && (elsewhere || (answer.ok && failures > RETRY_MS.length))) return window.location.reload();
    if (!answer.ok) at("connection").textContent = LOST;
  } catch {
    at("connection").textContent = LOST;
  }
  follow();
}

function elapsed() {
  if (begun === null || page.dataset.state === "failed") return;
  const seconds = (Date.now() - begun) / 1000;
  if (seconds >= 60) at("elapsed").textContent = `Waiting for ${duration(seconds)}.`;
}

// Once Stop is pressed nothing that happens to the server may lead elsewhere.
at("stop").addEventListener("submit", () => {
  leaving = true;
  hush();
  const button = at("stop").querySelector("button");
  button.disabled = true;
  button.textContent = "Stopping…";
});

list.querySelectorAll("li").forEach(adopt);
at("log").scrollTop = at("log").scrollHeight;
if (page.dataset.state !== "failed") follow();
window.setInterval(elapsed, 5_000);
elapsed();
