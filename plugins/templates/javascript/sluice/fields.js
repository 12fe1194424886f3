// Types of a record's fields. A type reads a value, or throws a finding with the path of the value that does not fit.

import { Decimal } from './money.js';

/** An issue of the current record. Throw it, or pass it to `out.report`. */
export class Finding {
  constructor(code, field = '', severity = 'error', rule = undefined) {
    Object.assign(this, { code, field, severity, rule });
  }

  /** Returns the finding with severity `warning`, which stops nothing. */
  warning() {
    return new Finding(this.code, this.field, 'warning', this.rule);
  }
}

/** Returns an error with this code at this field. */
export const finding = (code, field = '') => new Finding(code, field);
/** Returns the error `MISSING_REQUIRED_FIELD` at this field. */
export const missing = (field) => finding('MISSING_REQUIRED_FIELD', field);
/** Returns the error `INVALID_VALUE` at this field: the value is well-formed and not permitted. */
export const invalid = (field) => finding('INVALID_VALUE', field);
/** Returns the error `RULE_VIOLATION` at this field, with the code of the broken rule. */
export const rule = (code, field = '') => new Finding('RULE_VIOLATION', field, 'error', code);

const mismatch = (path) => finding('INVALID_FORMAT', path);
/** Returns a type from a function that returns the value, or undefined for a value that does not fit. */
const type = (fits) => ({
  read(value, path) {
    const read = fits(value);
    if (read === undefined) throw mismatch(path);
    return read;
  },
  fits,
  names: [],
});

/** Returns a type of whole numbers within these bounds. */
const whole = (least, most) =>
  type((value) => {
    const integer = (Number.isInteger(value) && !Object.is(value, -0)) || typeof value === 'bigint';
    return integer && BigInt(value) >= least && BigInt(value) <= most ? value : undefined;
  });

/** Text. */
export const text = type((value) => (typeof value === 'string' && value.isWellFormed() ? value : undefined));
/** `true` or `false`. */
export const boolean = type((value) => (typeof value === 'boolean' ? value : undefined));
/** A whole number; a BigInt beyond 2^53. */
export const integer = whole(-(2n ** 63n), 2n ** 63n - 1n);
/** A whole number that is not negative; a BigInt beyond 2^53. */
export const unsigned = whole(0n, 2n ** 64n - 1n);
/** A whole number that is not negative, read from a number or from text that consists of digits. */
export const number = type((value) => {
  const whole = typeof value === 'string' && /^\d+$/.test(value) ? BigInt(value) : value;
  const read = unsigned.fits(whole);
  return typeof read === 'bigint' && read <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(read) : read;
});
/** An exact decimal, read from a number or from text with an amount. */
export const amount = type((value) => {
  if (value instanceof Decimal) return value;
  if (Number.isInteger(value) || typeof value === 'bigint' || typeof value === 'string') {
    return Decimal.parse(String(value));
  }
  return undefined;
});
/** Returns a type that also accepts a missing field and null, as undefined. */
export const optional = (inner) => ({
  read: (value, path) => (value === null ? undefined : inner.read(value, path)),
  names: inner.names,
  optional: true,
});
/** Returns a type of lists of such values. */
export const list = (inner) => ({
  read(value, path) {
    if (!Array.isArray(value)) throw mismatch(path);
    return value.map((item, index) => inner.read(item, `${path}[${index}]`));
  },
  names: inner.names,
});
/** Returns a type of objects with these fields. It ignores other fields. */
export const object = (fields) => ({
  read(value, path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Decimal) {
      throw mismatch(path);
    }
    const at = (name) => (path === '' ? name : `${path}.${name}`);
    const read = {};
    for (const name in value) {
      if (Object.hasOwn(fields, name)) read[name] = fields[name].read(value[name], at(name));
    }
    for (const name in fields) {
      if (!(name in read) && !fields[name].optional) throw missing(at(name));
    }
    return read;
  },
  names: Object.entries(fields).flatMap(([name, inner]) => [name, ...inner.names]),
});
