package storage

import "testing"

func TestADecimalHasOneForm(t *testing.T) {
	for in, want := range map[string]string{"0": "0", "9": "9", "4.50": "4.5", "9.000": "9", "0.25": "0.25", "999999999999999999.999999999": "999999999999999999.999999999"} {
		if d, ok := ParseDecimal(in); !ok || string(d) != want {
			t.Errorf("%q reads as %q, %v, want %q", in, d, ok, want)
		}
	}
	for _, in := range []string{"", ".5", "5.", "-1", "+1", "1e3", "01", "1,5", "1 000", "0x10", "١", "1.0000000001", "1000000000000000000"} {
		if d, ok := ParseDecimal(in); ok {
			t.Errorf("%q reads as %q, want it refused", in, d)
		}
	}
}

func TestDecimalsMultiplyAndDivideExactly(t *testing.T) {
	if d, ok := Decimal("4.5").Times(3); !ok || d != "13.5" {
		t.Errorf("3 of 4.5 are %q, %v", d, ok)
	}
	if d, ok := Decimal("0.000000001").Times(1_000_000_001); !ok || d != "1.000000001" {
		t.Errorf("got %q, %v", d, ok)
	}
	if d, ok := Decimal("999999999999999999").Times(2); ok {
		t.Errorf("got %q, want it refused as too large", d)
	}
	if _, ok := Decimal("1").Times(-1); ok {
		t.Error("a negative number of something was taken")
	}
	for _, c := range []struct {
		d, unit Decimal
		n       int64
		exact   bool
	}{{"10.5", "0.5", 21, true}, {"2", "1", 2, true}, {"2.5", "1", 2, false}, {"3", "0", 0, false}, {"3", "", 0, false}, {"0.3", "0.1", 3, true}} {
		if n, exact := c.d.In(c.unit); n != c.n || exact != c.exact {
			t.Errorf("%s in %s: got %d, %v, want %d, %v", c.unit, c.d, n, exact, c.n, c.exact)
		}
	}
}
