package rivals;

import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/** Appends JSON to bytes that are used again and again. */
final class JsonWriter {
  private static final int SIGNIFICANT = 9; // digits with which every float32 reads back exactly
  private static final int LONGEST = 24; // bytes of any number
  private static final double[] POWERS = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14};

  private byte[] a = new byte[1024];
  private int n;

  void clear() {
    n = 0;
  }

  byte[] toArray() {
    return Arrays.copyOf(a, n);
  }

  void ascii(char c) {
    room(1);
    a[n++] = (byte) c;
  }

  /** Appends b[from, to). */
  void bytes(byte[] b, int from, int to) {
    room(to - from);
    System.arraycopy(b, from, a, n, to - from);
    n += to - from;
  }

  void number(long v) {
    room(LONGEST);
    if (v == Long.MIN_VALUE) {
      text(Long.toString(v));
      return;
    }
    if (v < 0) {
      a[n++] = '-';
      v = -v;
    }
    digits(v, length(v));
  }

  /** Appends v with nine significant digits, without the zeros at the end. */
  void number(float v) {
    room(LONGEST);
    if (!Float.isFinite(v)) {
      throw new IllegalArgumentException("JSON has no " + v);
    }
    double d = Math.abs((double) v);
    if (d != 0 && (d < 1e-5 || d >= 1e9)) {
      text(Float.toString(v));
      return;
    }
    if (v < 0) {
      a[n++] = '-';
    }
    long whole = (long) d;
    int decimals;
    if (whole > 0) {
      decimals = SIGNIFICANT - length(whole);
    } else {
      decimals = SIGNIFICANT;
      for (double t = d; t < 0.1 && decimals < SIGNIFICANT + 4; t *= 10) {
        decimals++;
      }
    }
    double scale = POWERS[decimals];
    long fraction = (long) ((d - whole) * scale + 0.5);
    if (fraction >= (long) scale) {
      fraction -= (long) scale;
      whole++;
    }
    digits(whole, length(whole));
    if (fraction > 0) {
      a[n++] = '.';
      digits(fraction, decimals);
      while (a[n - 1] == '0') {
        n--;
      }
    }
  }

  /** Appends v as exactly count digits, zeros first. */
  private void digits(long v, int count) {
    for (int i = n + count - 1; i >= n; i--) {
      long tens = v / 10;
      a[i] = (byte) ('0' + (v - 10 * tens));
      v = tens;
    }
    n += count;
  }

  private static int length(long v) {
    int count = 1;
    for (; v >= 10; v /= 10) {
      count++;
    }
    return count;
  }

  private void text(String s) {
    byte[] b = s.getBytes(StandardCharsets.US_ASCII);
    System.arraycopy(b, 0, a, n, b.length);
    n += b.length;
  }

  private void room(int bytes) {
    if (a.length - n < bytes) {
      a = Arrays.copyOf(a, Math.max(2 * a.length, n + bytes));
    }
  }
}
