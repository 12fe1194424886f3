// Types of a record's fields: each reads a value, or says at which path it does not fit.

import { Decimal } from './money.js';

/** One thing that is wrong with a record: throw it, or give it to `out.report`. */
export class Finding {
  constructor(code, field = '', severity = 'error', rule = undefined) {
    Object.assign(this, { code, field, severity, rule });
  }

  /** The same as a warning, which stops nothing. */
  warning() {
    return new Finding(this.code, this.field, 'warning', this.rule);
  }
}

/** An error with this code at this field. */
export const finding = (code, field = '') => new Finding(code, field);
/** A field that must be there is not. */
export const missing = (field) => finding('MISSING_REQUIRED_FIELD', field);
/** Well-formed, and not among what is allowed. */
export const invalid = (field) => finding('INVALID_VALUE', field);
/** It breaks the rule with this code. */
export const rule = (code, field = '') => new Finding('RULE_VIOLATION', field, 'error', code);

const misfit = (path) => finding('INVALID_FORMAT', path);
const type = (fits) => ({
  read(value, path) {
    const read = fits(value);
    if (read === undefined) throw misfit(path);
    return read;
  },
  names: [],
});

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
/** An exact decimal, from a number or from a text that holds one. */
export const amount = type((value) => {
  if (value instanceof Decimal) return value;
  if (Number.isInteger(value) || typeof value === 'bigint' || typeof value === 'string') {
    return Decimal.parse(String(value));
  }
  return undefined;
});
/** Undefined where the field is missing or null. */
export const optional = (inner) => ({
  read: (value, path) => (value === null ? undefined : inner.read(value, path)),
  names: inner.names,
  optional: true,
});
/** A list of such values. */
export const list = (inner) => ({
  read(value, path) {
    if (!Array.isArray(value)) throw misfit(path);
    return value.map((item, index) => inner.read(item, `${path}[${index}]`));
  },
  names: inner.names,
});
/** An object with these fields; others are passed over. */
export const object = (fields) => ({
  read(value, path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value) || value instanceof Decimal) {
      throw misfit(path);
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
