// Money: exact decimals, never floats.

import { fractionDigits } from './currencies.js';

const FORM = /^(-?)(0|[1-9]\d*)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
const UNITS_LIMIT = 2n ** 96n;
const MAX_SCALE = 28;

/** An exact decimal: `units` divided by ten to the power of `scale`. Written as a JSON number with all its digits. */
export class Decimal {
  constructor(units, scale = 0) {
    this.units = BigInt(units);
    this.scale = scale;
  }

  /**
   * Returns the amount of a text, `-?(0|[1-9][0-9]*)(\.[0-9]+)?`. Undefined for any other text, and for a number that has
   * more than 28 fraction digits or whose digits without the point are 2^96 or more.
   */
  static parse(text) {
    return /[eE]/.test(text) ? undefined : Decimal.parseJson(text);
  }

  /** Returns a JSON number, which may have an exponent. The limits of `parse` apply to it without the exponent. */
  static parseJson(text) {
    const parts = FORM.exec(text);
    if (!parts) return undefined;
    const [, sign, whole, fraction = '', exponent = '0'] = parts;
    let units = BigInt(whole + fraction);
    let scale = fraction.length - Number(exponent);
    if (scale < 0) {
      if (-scale > MAX_SCALE) return undefined;
      units *= 10n ** BigInt(-scale);
      scale = 0;
    }
    if (units >= UNITS_LIMIT || scale > MAX_SCALE) return undefined;
    return new Decimal(sign ? -units : units, scale);
  }

  /** Returns the sum. */
  plus(other) {
    const scale = Math.max(this.scale, other.scale);
    return new Decimal(this.unitsAt(scale) + other.unitsAt(scale), scale);
  }

  /** Returns the difference. */
  minus(other) {
    return this.plus(new Decimal(-other.units, other.scale));
  }

  /** Returns the product. */
  times(other) {
    return new Decimal(this.units * other.units, this.scale + other.scale);
  }

  /** Returns -1, 0 or 1 if this number is less than, equal to or greater than the other. */
  compare(other) {
    const difference = this.minus(other).units;
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }

  /** Returns the number with this number of fraction digits, rounded half up. */
  rounded(digits) {
    if (digits >= this.scale) return new Decimal(this.unitsAt(digits), digits);
    const cut = 10n ** BigInt(this.scale - digits);
    const half = this.units < 0n ? -cut / 2n : cut / 2n;
    return new Decimal((this.units + half) / cut, digits);
  }

  /** Returns the number without trailing zeros in its fraction. */
  normalized() {
    let { units, scale } = this;
    while (scale > 0 && units % 10n === 0n) {
      units /= 10n;
      scale -= 1;
    }
    return new Decimal(units, scale);
  }

  /** Returns the number as text, with all its digits. */
  toString() {
    const digits = String(this.units < 0n ? -this.units : this.units).padStart(this.scale + 1, '0');
    const sign = this.units < 0n ? '-' : '';
    if (this.scale === 0) return sign + digits;
    return `${sign}${digits.slice(0, -this.scale)}.${digits.slice(-this.scale)}`;
  }

  /** Returns the units for a scale that is not less than that of this number. */
  unitsAt(scale) {
    return this.units * 10n ** BigInt(scale - this.scale);
  }
}

/**
 * Returns the amount in the minor unit of the currency, as a BigInt. Undefined if the amount has more fraction digits
 * than the currency, ISO 4217 does not have the currency, or the number does not fit in 64 bits.
 */
export function minorUnits(amount, currency) {
  const digits = fractionDigits(currency);
  const exact = amount.normalized();
  if (digits === undefined || exact.scale > digits) return undefined;
  const units = exact.unitsAt(digits);
  return units === BigInt.asIntN(64, units) ? units : undefined;
}

/**
 * Returns the amount for this number of minor units, with all fraction digits of the currency. Undefined if ISO 4217
 * does not have the currency.
 */
export function fromMinorUnits(units, currency) {
  const digits = fractionDigits(currency);
  return digits === undefined ? undefined : new Decimal(units, digits);
}
