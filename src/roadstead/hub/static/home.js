// Counts the remaining time down and brings in what changed, without moving the page under somebody's hands.

import { duration } from "./words.js";

const SOON_SECONDS = 900;
const COUNT_MS = 15_000;
const LOOK_MS = { pending: 4_000, settled: 60_000 };

function count() {
  for (const line of document.querySelectorAll(".rs-left:has(time)")) {
    const time = line.querySelector("time");
    const seconds = Math.max(0, (Date.parse(time.dateTime) - Date.now()) / 1000);
    const words = duration(seconds);
    if (time.textContent !== words) time.textContent = words;
    line.toggleAttribute("data-soon", seconds < SOON_SECONDS);
  }
}

const shape = (home) => [...home.querySelectorAll(".rs-server")].map((row) => `${row.id} ${row.dataset.state}`).join();

async function look() {
  const home = document.getElementById("home");
  const busy = home.querySelector("details[open]") || document.hidden;
  if (!busy) {
    try {
      const answer = await fetch(window.location.href, { redirect: "manual" });
      if (answer.type === "opaqueredirect") window.location.reload();
      if (answer.ok) replace(home, await answer.text());
    } catch {
      // The hub is away for a moment; the next look finds it again.
    }
  }
  const pending = document.querySelector('[data-state="starting"], [data-state="stopping"]');
  window.setTimeout(look, pending ? LOOK_MS.pending : LOOK_MS.settled);
}

function replace(home, html) {
  const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("home");
  if (!fresh || shape(fresh) === shape(home)) return;
  const row = document.activeElement?.closest(".rs-server")?.id;
  home.replaceWith(fresh);
  if (row) document.getElementById(row)?.querySelector("a, button, summary")?.focus();
  count();
}

count();
window.setInterval(count, COUNT_MS);
window.setTimeout(look, LOOK_MS.pending);
document.addEventListener("visibilitychange", count);
