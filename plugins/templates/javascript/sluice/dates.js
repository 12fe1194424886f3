// Dates: `yyyy-MM-dd` on the platform's side, whatever the old system used on the other.

/** The date as `yyyy-MM-dd`; undefined when the calendar has no such day. */
export function civil(year, month, day) {
  if (year < 0 || year > 9999 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month)) return undefined;
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
}

/** `yyyy-MM-dd` as it is; undefined when it is no real calendar day. */
export function date(text) {
  const parts = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text);
  return parts ? civil(Number(parts[1]), Number(parts[2]), Number(parts[3])) : undefined;
}

/** YYMMDD as a number, in the 1900s: 930705 is 1993-07-05. A number below 100000 has lost the zeros at its front. */
export function yymmdd(number) {
  if (!(number >= 0 && number <= 999999)) return undefined;
  return civil(1900 + Math.trunc(number / 10000), Math.trunc(number / 100) % 100, number % 100);
}

/** The same day so many months later, or the last of that month where it has no such day; undefined beyond 9999. */
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
