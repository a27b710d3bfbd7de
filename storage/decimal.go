package storage

import (
	"math/big"
	"strings"
)

// Decimal is a number of goods or of money as it stands on the wire (FEP-0837): digits with at most nine after a point, not negative, in its one
// canonical form ("9", "4.5" and not "4.50", "0.25"). "" is no number. It is never rounded.
type Decimal string

// decimalPlaces is the finest fraction that is understood.
const decimalPlaces = 9

// ParseDecimal reads a number; ok is false when it is none: a sign, an exponent, more than eighteen digits before the point or nine after it.
func ParseDecimal(s string) (d Decimal, ok bool) {
	whole, fraction, point := strings.Cut(s, ".")
	if whole == "" || len(whole) > 18 || point && fraction == "" || len(whole) > 1 && whole[0] == '0' {
		return "", false
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > decimalPlaces {
		return "", false
	}
	for _, r := range whole + fraction {
		if r < '0' || r > '9' {
			return "", false
		}
	}
	if fraction == "" {
		return Decimal(whole), true
	}
	return Decimal(whole + "." + fraction), true
}

// Positive reports whether it is a number above zero.
func (d Decimal) Positive() bool { return d != "" && d != "0" }

// Float is about d, for lists that are sorted by it.
func (d Decimal) Float() float64 {
	f, _ := new(big.Rat).SetFrac(d.units(), big.NewInt(1_000_000_000)).Float64()
	return f
}

// units is d in billionths.
func (d Decimal) units() *big.Int {
	whole, fraction, _ := strings.Cut(string(d), ".")
	n, ok := new(big.Int).SetString(whole+fraction+strings.Repeat("0", decimalPlaces-len(fraction)), 10)
	if !ok {
		return new(big.Int)
	}
	return n
}

// Times is n of d; ok is false when that is too large to be written.
func (d Decimal) Times(n int64) (product Decimal, ok bool) {
	if n < 0 {
		return "", false
	}
	whole, rest := new(big.Int).QuoRem(new(big.Int).Mul(d.units(), big.NewInt(n)), big.NewInt(1_000_000_000), new(big.Int))
	digits := rest.String()
	return ParseDecimal(whole.String() + "." + strings.Repeat("0", decimalPlaces-len(digits)) + digits)
}

// In is how often unit goes into d, and whether that leaves nothing over. 0 for no unit.
func (d Decimal) In(unit Decimal) (n int64, exact bool) {
	u := unit.units()
	if u.Sign() == 0 {
		return 0, false
	}
	q, r := new(big.Int).QuoRem(d.units(), u, new(big.Int))
	if !q.IsInt64() {
		return 0, false
	}
	return q.Int64(), r.Sign() == 0
}
