package ledger

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Amount is a number of minor units: 1 to MaxAmount, and 0 where a currency counts gifts. It is never negative.
type Amount int64

// MaxAmount is the largest amount of one transfer. In Post and Refund it means "all that is left".
const MaxAmount Amount = 1<<62 - 1

// All is MaxAmount, by the name under which Post and Refund ask for all that is left.
const All = MaxAmount

// AmountError says which amount was refused, and which form is allowed.
type AmountError struct {
	Text   string // as given, shortened
	Scale  uint8
	Reason string
}

// Error is one line for whoever typed or sent the amount.
func (e *AmountError) Error() string {
	form := "digits alone, like 12"
	if e.Scale > 0 {
		form = fmt.Sprintf("digits with at most %d after a point, like 12 or 12.%s", e.Scale, strings.Repeat("5", int(min(e.Scale, 2))))
	}
	return fmt.Sprintf("amount %q: %s; want %s", e.Text, e.Reason, form)
}

// ParseAmount reads an amount as it stands on the wire: ^(0|[1-9][0-9]{0,17})(\.[0-9]{1,s})?$ with s the scale (payments.md §0).
// Nothing is trimmed, rounded or guessed (F29, F31, F32). Zero is read; whether it may be paid is the currency's affair.
func ParseAmount(s string, scale uint8) (Amount, error) {
	bad := func(reason string) (Amount, error) {
		return 0, &AmountError{Text: clip(s), Scale: scale, Reason: reason}
	}
	if scale > 9 {
		return bad("the currency has a scale above 9")
	}
	whole, fraction, point := strings.Cut(s, ".")
	switch {
	case s == "":
		return bad("it is empty")
	case s[0] == '-' || s[0] == '+':
		return bad("an amount has no sign")
	case !digits(whole) || !digits(fraction):
		return bad("only the digits 0 to 9 and one point are read")
	case whole == "":
		return bad("a digit is missing before the point")
	case len(whole) > 1 && whole[0] == '0':
		return bad("it begins with a needless 0")
	case len(whole) > 18:
		return bad("it is too large")
	case point && scale == 0:
		return bad("this currency has no fractions")
	case point && fraction == "":
		return bad("a digit is missing after the point")
	case len(fraction) > int(scale):
		return bad("it has too many digits after the point")
	}
	n, _ := strconv.ParseUint(whole, 10, 64) // at most 18 digits: fits
	hi, n := bits.Mul64(n, pow10[scale])
	f := uint64(0)
	if fraction != "" {
		f, _ = strconv.ParseUint(fraction, 10, 64)
		f *= pow10[int(scale)-len(fraction)]
	}
	if hi != 0 || n > uint64(MaxAmount) || n+f > uint64(MaxAmount) {
		return bad("it is too large")
	}
	return Amount(n + f), nil
}

// ParseTyped reads an amount as people type it: as on the wire, and in a currency of hours as h:mm too ("1:30" is 90 minutes).
func ParseTyped(s string, k Kind, scale uint8) (Amount, error) {
	h, m, colon := strings.Cut(s, ":")
	if k != Hours || !colon {
		return ParseAmount(s, scale)
	}
	hours, err := ParseAmount(h, 0)
	if err != nil || len(m) != 2 || !digits(m) || m[0] > '5' || scale != 0 || hours > MaxAmount/60-1 {
		return 0, &AmountError{Text: clip(s), Scale: scale, Reason: "hours are written h:mm, like 1:30, or in minutes, like 90"}
	}
	minutes, _ := strconv.Atoi(m)
	return hours*60 + Amount(minutes), nil
}

// FormatAmount writes minor units as a decimal string with exactly scale digits after the point: what ParseAmount reads, with a minus sign before a negative balance.
func FormatAmount(v int64, scale uint8) string {
	return string(AppendAmount(nil, v, scale))
}

// AppendAmount appends what FormatAmount writes.
func AppendAmount(b []byte, v int64, scale uint8) []byte {
	u := uint64(v)
	if v < 0 {
		b, u = append(b, '-'), -u
	}
	p := pow10[min(scale, 9)]
	b = strconv.AppendUint(b, u/p, 10)
	if scale == 0 {
		return b
	}
	b = append(b, '.')
	for f, q := u%p, p/10; q > 0; q /= 10 {
		b = append(b, byte('0'+f/q%10))
	}
	return b
}

// Split divides total by weights: largest remainder first, ties to the earlier weight. The parts sum to total and each is within one unit of exact.
// Without any weight above zero nothing can be divided and the parts are nil (F44).
func Split(total Amount, weights []uint32) []Amount {
	var sum uint64
	for _, w := range weights {
		sum += uint64(w)
	}
	if sum == 0 || total < 0 {
		return nil
	}
	parts, rests, left := make([]Amount, len(weights)), make([]uint64, len(weights)), total
	for i, w := range weights {
		hi, lo := bits.Mul64(uint64(total), uint64(w))
		q, r := bits.Div64(hi, lo, sum) // w <= sum, so the quotient fits
		parts[i], rests[i] = Amount(q), r
		left -= Amount(q)
	}
	for ; left > 0; left-- {
		best := -1
		for i, r := range rests {
			if r > 0 && (best < 0 || r > rests[best]) {
				best = i
			}
		}
		parts[best]++
		rests[best] = 0
	}
	return parts
}

// part is floor(total*n/d) for 0 <= n <= d or d = 10,000, in 128 bits.
func part(total Amount, n, d uint64) Amount {
	hi, lo := bits.Mul64(uint64(total), n)
	if hi >= d {
		return MaxAmount
	}
	q, _ := bits.Div64(hi, lo, d)
	return Amount(min(q, uint64(MaxAmount)))
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

var pow10 = [...]uint64{1, 10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}
