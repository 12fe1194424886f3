// Money: exact decimals, never a float.

import { fractionDigits } from './currencies.js';

const FORM = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;
const MOST = 2n ** 96n;
const MOST_DIGITS = 28;

/** An exact decimal: `units` divided by ten to the power of `scale`. Written as a JSON number with all its digits. */
export class Decimal {
  constructor(units, scale = 0) {
    this.units = BigInt(units);
    this.scale = scale;
  }

  /** The number that these digits spell; undefined when it is none, or has more than 28 digits. */
  static parse(text) {
    const parts = FORM.exec(text);
    if (!parts) return undefined;
    const [, sign, whole, fraction = '', exponent = '0'] = parts;
    let units = BigInt(whole + fraction);
    let scale = fraction.length - Number(exponent);
    if (scale < 0) {
      if (-scale > MOST_DIGITS) return undefined;
      units *= 10n ** BigInt(-scale);
      scale = 0;
    }
    if (units >= MOST || scale > MOST_DIGITS) return undefined;
    return new Decimal(sign ? -units : units, scale);
  }

  plus(other) {
    const scale = Math.max(this.scale, other.scale);
    return new Decimal(this.unitsAt(scale) + other.unitsAt(scale), scale);
  }

  minus(other) {
    return this.plus(new Decimal(-other.units, other.scale));
  }

  times(other) {
    return new Decimal(this.units * other.units, this.scale + other.scale);
  }

  /** Below, at or above zero as this is less than, equal to or more than the other. */
  compare(other) {
    const difference = this.minus(other).units;
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }

  /** With so many fraction digits, rounded half up as one does by hand. */
  rounded(digits) {
    if (digits >= this.scale) return new Decimal(this.unitsAt(digits), digits);
    const cut = 10n ** BigInt(this.scale - digits);
    const half = this.units < 0n ? -cut / 2n : cut / 2n;
    return new Decimal((this.units + half) / cut, digits);
  }

  /** Without zeros at the end of its fraction. */
  normalized() {
    let { units, scale } = this;
    while (scale > 0 && units % 10n === 0n) {
      units /= 10n;
      scale -= 1;
    }
    return new Decimal(units, scale);
  }

  toString() {
    const digits = String(this.units < 0n ? -this.units : this.units).padStart(this.scale + 1, '0');
    const sign = this.units < 0n ? '-' : '';
    if (this.scale === 0) return sign + digits;
    return `${sign}${digits.slice(0, -this.scale)}.${digits.slice(-this.scale)}`;
  }

  unitsAt(scale) {
    return this.units * 10n ** BigInt(scale - this.scale);
  }
}

/**
 * The amount in the currency's minor unit, as a BigInt; undefined when it has more fraction digits than the currency, or
 * ISO 4217 does not know the currency.
 */
export function minorUnits(amount, currency) {
  const digits = fractionDigits(currency);
  const exact = amount.normalized();
  return digits === undefined || exact.scale > digits ? undefined : exact.unitsAt(digits);
}

/** The amount that is so many of the currency's minor units, with all its fraction digits. */
export function fromMinorUnits(units, currency) {
  const digits = fractionDigits(currency);
  return digits === undefined ? undefined : new Decimal(units, digits);
}
