// Package fault names the moments at which a crash is interesting. Crash tests end the process there; other builds do nothing.
//
// In builds with the tag "fault" the variable ASTRO_FAULT="NAME:N" kills the process (SIGKILL) when the point NAME is passed for the
// N-th time.
package fault

// The points, in the order in which a feedback, a checkpoint and a swap pass them.
const (
	BeforeBegin  = "store.before_begin"  // operations are taken, nothing is written
	AfterInsert  = "store.after_insert"  // rows are written, not committed
	BeforeCommit = "store.before_commit" // all operations of the group are done
	AfterCommit  = "store.after_commit"  // the group is on disk, nobody knows yet
	Migrate      = "store.migrate"       // within the migration of an older file

	CheckpointPartial = "checkpoint.partial"      // some files of the temporary folder are there
	CheckpointWritten = "checkpoint.before_fsync" // all are, none is synced
	CheckpointSynced  = "checkpoint.after_fsync"  // all are synced, the folder has no name yet
	CheckpointRenamed = "checkpoint.after_rename" // it has its name; its parent is not synced
	PublishBefore     = "publish.before_pointer"  // the checkpoint is durable, the store does not know it
	PublishAfter      = "publish.after_pointer"   // the store does, the engine does not
	SwapAfter         = "publish.after_swap"      // the engine serves it
	LearnBefore       = "learn.before_update"     // rollouts are gathered, nothing is learned
	LearnAfter        = "learn.after_update"      // the weights in memory have changed
)

// Points lists all of them.
func Points() []string {
	return []string{BeforeBegin, AfterInsert, BeforeCommit, AfterCommit, Migrate, CheckpointPartial, CheckpointWritten, CheckpointSynced,
		CheckpointRenamed, PublishBefore, PublishAfter, SwapAfter, LearnBefore, LearnAfter}
}
