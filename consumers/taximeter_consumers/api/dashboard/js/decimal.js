// Decimal strings, exactly: a BigInt and how many of its digits stand behind the point. An amount becomes a float only
// for the height or the length of something drawn.

const FORM = /^(-?)(\d+)(?:\.(\d+))?$/;

/** The parts of a decimal string. Throws RangeError for anything else. */
export function parsed(text) {
  const found = FORM.exec(text);
  if (!found) throw new RangeError("this is no decimal number");
  const [, sign, whole, places = ""] = found;
  const digits = BigInt(whole + places);
  return { digits: sign ? -digits : digits, scale: places.length };
}

/** Without trailing zeros and without an exponent, as the API writes amounts. */
export function plain({ digits, scale }) {
  const text = fixed({ digits, scale });
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

/** The exact sum of decimal strings; "0" of none. */
export function sum(texts) {
  let total = { digits: 0n, scale: 0 };
  for (const text of texts) {
    const one = parsed(text);
    const scale = Math.max(total.scale, one.scale);
    total = { digits: at(total, scale) + at(one, scale), scale };
  }
  return plain(total);
}

/** Below 0, 0 or above 0, as `a` is less than, the same as or more than `b`. */
export function compared(a, b) {
  const [left, right] = [parsed(a), parsed(b)];
  const scale = Math.max(left.scale, right.scale);
  const [one, other] = [at(left, scale), at(right, scale)];
  return one < other ? -1 : one > other ? 1 : 0;
}

/** The largest of decimal strings; "0" of none. */
export function largest(texts) {
  return texts.reduce((most, text) => (compared(text, most) > 0 ? text : most), "0");
}

/** Whether it is nothing. */
export function isZero(text) {
  return parsed(text).digits === 0n;
}

/** With exactly so many places, half up (away from zero). */
export function rounded(text, places) {
  const value = parsed(text);
  if (value.scale <= places) return fixed({ digits: at(value, places), scale: places });
  const unit = 10n ** BigInt(value.scale - places);
  const size = value.digits < 0n ? -value.digits : value.digits;
  const cut = (size + unit / 2n) / unit;
  return fixed({ digits: value.digits < 0n ? -cut : cut, scale: places });
}

/** How much of `whole` the `part` is, in percent with so many places; "" of nothing. */
export function percent(part, whole, places = 1) {
  const [one, all] = [parsed(part), parsed(whole)];
  if (all.digits === 0n) return "";
  const scale = Math.max(one.scale, all.scale);
  const unit = 10n ** BigInt(places + 4);
  return rounded(plain({ digits: (at(one, scale) * 100n * unit) / at(all, scale), scale: places + 4 }), places);
}

/** A float near it: for pixels, never for numbers that are read. */
export function near(text) {
  return Number(text);
}

function at({ digits, scale }, wanted) {
  return digits * 10n ** BigInt(wanted - scale);
}

function fixed({ digits, scale }) {
  const sign = digits < 0n ? "-" : "";
  const text = (digits < 0n ? -digits : digits).toString().padStart(scale + 1, "0");
  return scale ? `${sign}${text.slice(0, -scale)}.${text.slice(-scale)}` : sign + text;
}
