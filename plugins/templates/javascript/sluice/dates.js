// Dates: reading the formats of old systems and the platform's `yyyy-MM-dd`.

/** Returns the day as `yyyy-MM-dd`, undefined if the calendar has no such day. */
export function civil(year, month, day) {
  if (year < 1 || year > 9999 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
}

/** Returns `yyyy-MM-dd` unchanged, from 0001-01-01 on. Undefined if the text has another form or is no calendar day. */
export function date(text) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  return parts ? civil(Number(parts[1]), Number(parts[2]), Number(parts[3])) : undefined;
}

/**
 * Returns the day of YYMMDD in the 1900s, from a number: 930705 is 1993-07-05. Leading zeros may be missing: 10203 is
 * 1901-02-03. Undefined if the number is no calendar day.
 */
export function yymmdd(number) {
  if (!(number >= 0 && number <= 999999)) return undefined;
  return civil(1900 + Math.trunc(number / 10000), Math.trunc(number / 100) % 100, number % 100);
}

/**
 * Returns the same day this number of months later, or the last day of that month if it has no such day. Undefined
 * beyond the year 9999.
 */
export function monthsAfter(day, months) {
  const [year, month, of] = day.split('-').map(Number);
  const at = year * 12 + month - 1 + months;
  const [toYear, toMonth] = [Math.floor(at / 12), (at % 12) + 1];
  return civil(toYear, toMonth, Math.min(of, daysIn(toYear, toMonth)));
}

const daysIn = (year, month) => {
  if (month === 2) return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0) ? 29 : 28;
  return [4, 6, 9, 11].includes(month) ? 30 : 31;
};
const pad = (number, digits) => String(number).padStart(digits, '0');
