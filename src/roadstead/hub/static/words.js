// Durations in words, the same as in the templates.

const counted = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

/** Seconds as the two largest units that matter: "1 day 2 hours", "45 minutes". */
export function duration(seconds) {
  const minutes = Math.floor((seconds + 30) / 60);
  const days = Math.floor(minutes / 1440);
  const hours = Math.floor(minutes / 60) % 24;
  const rest = minutes % 60;
  if (days) return counted(days, "day") + (hours ? ` ${counted(hours, "hour")}` : "");
  if (hours) return counted(hours, "hour") + (rest ? ` ${counted(rest, "minute")}` : "");
  return minutes ? counted(minutes, "minute") : "less than a minute";
}
