package storage_test

import (
	"testing"
	"time"

	"planet/storage"
	"planet/storage/storagetest"
)

func TestJobsAreRetriedAndDroppedByHand(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db *storage.DB) {
		ctx := t.Context()
		later := db.Now().UTC().Add(time.Hour)
		for _, about := range []string{"waits", "failed", "dead"} {
			if err := db.EnqueueJob(ctx, &storage.Job{Kind: "fetch", About: about, RunAt: later}); err != nil {
				t.Fatal(err)
			}
		}
		js, err := db.Jobs(ctx, 10)
		if err != nil || len(js) != 3 {
			t.Fatalf("%d jobs, %v", len(js), err)
		}
		for i, dead := range []bool{false, true} {
			if err := db.PostponeJob(ctx, js[i+1].ID, "no answer", later, dead); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := db.RetryJobs(ctx, js[0].ID); n != 0 || err != nil {
			t.Errorf("a job that waits for its time was hurried: %d, %v", n, err)
		}
		if n, err := db.RetryJobs(ctx, 0); n != 2 || err != nil {
			t.Errorf("retried %d, %v; want the failed and the dead one", n, err)
		}
		due, err := db.ClaimJobs(ctx, 10, time.Minute)
		if err != nil || len(due) != 2 {
			t.Fatalf("%d are due, %v", len(due), err)
		}
		if n, err := db.RetryJobs(ctx, 0); n != 0 || err != nil {
			t.Errorf("%d that are being done were retried, %v", n, err)
		}
		if err := db.PostponeJob(ctx, due[0].ID, "no answer", later, true); err != nil {
			t.Fatal(err)
		}
		if n, err := db.DropJobs(ctx, 0); n != 1 || err != nil {
			t.Errorf("dropped %d, %v; want the dead one", n, err)
		}
		if n, err := db.DropJobs(ctx, js[0].ID); n != 1 || err != nil {
			t.Errorf("dropped %d by id, %v", n, err)
		}
	})
}
