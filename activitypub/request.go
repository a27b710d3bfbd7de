package activitypub

import (
	"context"

	"planet/storage"
)

// stillRequested looks, within the transaction that moves the money, at the request of this node that a payment is to fulfil.
func (n *Node) stillRequested(ctx context.Context, tx *storage.DB, row *storage.Payment) error {
	return &refusedBefore{codeAgreement, "There is no such request for payment."}
}

// paidRequest notes on a request of this node that it is paid.
func (n *Node) paidRequest(ctx context.Context, tx *storage.DB, p *storage.Payment) error { return nil }
