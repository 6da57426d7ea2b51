package rivals;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Pulls fields, numbers and strings out of the UTF-8 bytes of one JSON object. Digits and string ends are found eight
 * bytes at a time. It reads on past the value's end where text is cut short, within the array, and {@link #finish} tells
 * on it.
 */
final class JsonReader {
  private static final VarHandle LONG = MethodHandles.byteArrayViewVarHandle(long[].class, ByteOrder.LITTLE_ENDIAN);
  private static final long ONES = 0x0101010101010101L;
  private static final long HIGH = 0x8080808080808080L;
  private static final long[] INTEGER_POWERS = {1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000};
  private static final double[] POWERS = { // those that a double holds exactly
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22
  };

  private byte[] a = {};
  private int p;
  private int limit;
  private boolean first;
  private int start;
  private int end;

  /** Stands before the object in a[offset, offset+length). */
  void reset(byte[] array, int offset, int length) {
    a = array;
    p = offset;
    limit = offset + length;
    first = true;
    space();
    expect('{');
  }

  /** Moves to the next field's value; its key is then what start and end enclose. False after the last field. */
  boolean nextField() {
    space();
    if (a[p] == '}') {
      p++;
      return false;
    }
    if (!first) {
      expect(',');
      space();
    }
    first = false;
    string();
    space();
    expect(':');
    space();
    return true;
  }

  /** Checks that nothing but space is left. */
  void finish() {
    while (p < limit && a[p] <= ' ' && a[p] > 0) {
      p++;
    }
    if (p != limit) {
      throw wrong();
    }
  }

  byte[] bytes() {
    return a;
  }

  /** First byte of the last key or string, without its quote. */
  int start() {
    return start;
  }

  int end() {
    return end;
  }

  boolean keyIs(byte[] name) {
    if (end - start != name.length) {
      return false;
    }
    for (int i = 0; i < name.length; i++) {
      if (a[start + i] != name[i]) {
        return false;
      }
    }
    return true;
  }

  boolean isId() {
    return end - start == 2 && a[start] == 'i' && a[start + 1] == 'd';
  }

  /** Reads a string; start and end enclose its bytes, escapes untouched. */
  void string() {
    expect('"');
    start = p;
    end = stringEnd(p);
    p = end + 1;
  }

  /** Reads an array of exactly as many numbers as dst has. */
  void floats(float[] dst) {
    expect('[');
    for (int i = 0; i < dst.length; i++) {
      if (i > 0) {
        expect(',');
      }
      space();
      dst[i] = (float) number();
      space();
    }
    expect(']');
  }

  /** Reads an array of exactly as many integers as dst has. */
  void longs(long[] dst) {
    expect('[');
    for (int i = 0; i < dst.length; i++) {
      if (i > 0) {
        expect(',');
      }
      space();
      dst[i] = integer();
      space();
    }
    expect(']');
  }

  private long integer() {
    boolean negative = a[p] == '-';
    if (negative) {
      p++;
    }
    int from = p;
    long v = 0;
    for (int d; (d = a[p] - '0') >= 0 && d <= 9; p++) {
      v = 10 * v + d;
    }
    if (p == from || p - from > 18) {
      throw wrong();
    }
    return negative ? -v : v;
  }

  /** Reads a number: exact up to 15 digits with small exponents, and by the library beyond. */
  double number() {
    final byte[] a = this.a;
    int p = this.p;
    final int from = p;
    final boolean negative = a[p] == '-';
    if (negative) {
      p++;
    }
    int digits = p;
    long m = 0;
    for (int d; (d = a[p] - '0') >= 0 && d <= 9; p++) {
      m = 10 * m + d;
    }
    digits = p - digits;
    if (digits == 0) {
      throw wrong();
    }
    int exponent = 0;
    if (a[p] == '.') {
      final int point = ++p;
      while (p + 8 <= a.length) {
        long w = (long) LONG.get(a, p) ^ 0x30 * ONES;
        long other = ((w + 0x76 * ONES) | w) & HIGH; // the high bit of each byte that is no digit
        if (other == 0) {
          m = 100_000_000 * m + eightDigits(w);
          p += 8;
          continue;
        }
        int n = Long.numberOfTrailingZeros(other) >>> 3;
        if (n > 0) {
          m = INTEGER_POWERS[n] * m + eightDigits(w << (64 - 8 * n)); // zeros before
          p += n;
        }
        break;
      }
      for (int d; (d = a[p] - '0') >= 0 && d <= 9; p++) { // only at the array's end
        m = 10 * m + d;
      }
      digits += p - point;
      exponent = point - p;
    }
    if ((a[p] | 0x20) == 'e') {
      p++;
      boolean minus = a[p] == '-';
      if (minus || a[p] == '+') {
        p++;
      }
      int e = 0;
      for (int d; (d = a[p] - '0') >= 0 && d <= 9 && e < 10_000; p++) {
        e = 10 * e + d;
      }
      exponent += minus ? -e : e;
    }
    this.p = p;
    if (digits > 18 || m > 1L << 53 || exponent < -22 || exponent > 22) {
      return Double.parseDouble(new String(a, from, p - from, StandardCharsets.US_ASCII));
    }
    double v = exponent < 0 ? m / POWERS[-exponent] : m * POWERS[exponent];
    return negative ? -v : v;
  }

  /** The number of eight digits, one a byte (0..9), the first in the lowest byte. */
  private static long eightDigits(long w) {
    w = 10 * w + (w >>> 8);
    return ((w & 0x000000FF000000FFL) * 0x000F424000000064L + ((w >>> 16) & 0x000000FF000000FFL) * 0x0000271000000001L) >>> 32;
  }

  /** Passes over any value. */
  void skip() {
    switch (a[p]) {
      case '"' -> p = stringEnd(p + 1) + 1;
      case '{', '[' -> skipNested();
      default -> {
        int from = p;
        for (byte c; (c = a[p]) != ',' && c != '}' && c != ']' && c > ' '; ) {
          p++;
        }
        if (p == from) {
          throw wrong();
        }
      }
    }
  }

  private void skipNested() {
    int depth = 0;
    do {
      switch (a[p++]) {
        case '"' -> p = stringEnd(p) + 1;
        case '{', '[' -> depth++;
        case '}', ']' -> depth--;
        default -> {}
      }
    } while (depth > 0);
  }

  /** The position of the quote that ends a string whose text goes on at i. */
  private int stringEnd(int i) {
    final byte[] a = this.a;
    while (true) {
      if (i + 8 <= a.length) {
        long w = (long) LONG.get(a, i);
        long quote = w ^ '"' * ONES;
        long escape = w ^ '\\' * ONES;
        long found = ((quote - ONES) & ~quote | (escape - ONES) & ~escape) & HIGH; // right up to the first
        if (found == 0) {
          i += 8;
          continue;
        }
        i += Long.numberOfTrailingZeros(found) >>> 3;
      }
      if (a[i] == '"') {
        return i;
      }
      i += a[i] == '\\' ? 2 : 1;
    }
  }

  private void space() {
    while (a[p] <= ' ' && a[p] > 0) {
      p++;
    }
  }

  private void expect(char c) {
    if (a[p] != c) {
      throw wrong();
    }
    p++;
  }

  private IllegalArgumentException wrong() {
    return new IllegalArgumentException("not the JSON expected, " + (limit - p) + " bytes before its end");
  }
}
