package storage

import (
	"context"

	"planet/ledger"
)

// Erase takes a person out of a book: the owner's IRI, the salts of the entries that name it, and the words on her payments. The numbers stay, under the account's id, which says nothing
// without the IRI; the leaves stay as they are, and every proof valid (ledger.md §4.3).
func (db *DB) Erase(ctx context.Context, account ledger.ID) error {
	var currency int64
	if err := db.one(ctx, "SELECT currency_id FROM accounts WHERE uid = ?", []any{account[:]}, &currency); err != nil {
		return err
	}
	return db.Transaction(ctx, func(tx *DB) error {
		c, err := tx.currencyByID(ctx, ID(currency))
		if err != nil {
			return err
		}
		name := "erased:" + account.String()
		blank := map[ledger.Seq][]byte{}
		err = tx.EachEntry(ctx, c, 0, func(e ledger.Entry, _ bool) error {
			switch cmd := e.Cmd.(type) {
			case ledger.OpenAccount:
				if cmd.Account == account {
					cmd.Ref = name
					e.Cmd = cmd
					blank[e.Seq] = ledger.AppendOpening(nil, e)
				}
			case ledger.Rebind:
				if cmd.Account == account {
					cmd.NewRef = name
					e.Cmd = cmd
					blank[e.Seq] = ledger.AppendOpening(nil, e)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for seq, opening := range blank {
			if err := tx.q(ctx).Exec("UPDATE openings SET salt = NULL, opening = ? WHERE currency_id = ? AND seq = ?", opening, c.ID, int64(seq)).Error; err != nil {
				return translate(err)
			}
		}
		var ref string
		if err := tx.one(ctx, "SELECT ref FROM accounts WHERE uid = ?", []any{account[:]}, &ref); err != nil {
			return err
		}
		// Words that were written for one of both are about both.
		if err := tx.q(ctx).Exec("UPDATE payments SET memo = '', memo_salt = NULL WHERE currency_id = ? AND (payer = ? OR payee = ?)", c.ID, ref, ref).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Exec("UPDATE payment_requests SET memo = '' WHERE currency = ? AND (payer = ? OR payee = ?)", c.Book.IRI, ref, ref).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Exec("UPDATE payments SET payer = ? WHERE currency_id = ? AND payer = ?", name, c.ID, ref).Error; err != nil {
			return translate(err)
		}
		if err := tx.q(ctx).Exec("UPDATE payments SET payee = ? WHERE currency_id = ? AND payee = ?", name, c.ID, ref).Error; err != nil {
			return translate(err)
		}
		return translate(tx.q(ctx).Exec("UPDATE accounts SET ref = ? WHERE uid = ?", name, account[:]).Error)
	})
}
