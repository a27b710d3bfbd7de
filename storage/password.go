package storage

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// Parameters of argon2id: OWASP's 19 MiB, two passes, one lane; about 20 ms.
const (
	argonMemory = 19 * 1024
	argonTime   = 2
	argonLanes  = 1
	minPassword = 10
	maxPassword = 1000
)

// hashing bounds the memory that sign-ins take at once.
var hashing = make(chan struct{}, 4)

// WeakPassword says what is wrong with a password; nil for nothing.
func WeakPassword(password string) error {
	switch n := len([]rune(password)); {
	case n < minPassword:
		return fmt.Errorf("use at least %d characters", minPassword)
	case n > maxPassword:
		return fmt.Errorf("use at most %d characters", maxPassword)
	}
	return nil
}

// HashPassword makes the PHC string that is stored in place of a password; an error says what is wrong with the password.
func HashPassword(password string) (string, error) {
	if err := WeakPassword(password); err != nil {
		return "", err
	}
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonLanes, b64(salt), b64(argon(password, salt))), nil
}

func argon(password string, salt []byte) []byte {
	hashing <- struct{}{}
	defer func() { <-hashing }()
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonLanes, 32)
}

// ErrPassword says that a password does not fit.
var ErrPassword = errors.New("the password does not fit")

// CheckPassword compares a password with what HashPassword made: nil or ErrPassword.
func CheckPassword(hash, password string) error {
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || len(password) > 4*maxPassword {
		return ErrPassword
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return ErrPassword
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || subtle.ConstantTimeCompare(want, argon(password, salt)) != 1 {
		return ErrPassword
	}
	return nil
}
