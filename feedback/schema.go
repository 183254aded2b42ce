package feedback

// applicationID marks the file as ours ("astr" in ASCII); SQLite's file command and ours read it.
const applicationID = 0x61737472

// formatVersion is that of the schema, kept as user_version. A file of an older one is migrated when it is opened, a newer one is
// refused.
const formatVersion = 1

// schema is version 1. Times are Unix milliseconds; token ids are int32, log-probabilities f32, both little-endian; seq is the order
// of commit, which is the only order that learning looks at; crc is sumRow of the other columns but seq and body_sha256 (0 = erased). waiting has the
// rated completions that were not learned from.
const schema = `
CREATE TABLE completions(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, choice INTEGER NOT NULL,
  tenant TEXT NOT NULL, key_id TEXT NOT NULL, session TEXT NOT NULL DEFAULT '', model TEXT NOT NULL,
  state TEXT NOT NULL CHECK(state IN('complete','aborted')), finish TEXT NOT NULL,
  spans TEXT NOT NULL, params TEXT NOT NULL, metadata TEXT,
  prompt_ids BLOB NOT NULL, token_ids BLOB NOT NULL, logprobs BLOB NOT NULL, sampled BLOB,
  prompt_text TEXT, output_text TEXT, created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, crc INTEGER NOT NULL,
  UNIQUE(id, choice)) STRICT;
CREATE INDEX completions_expiry ON completions(expires_ms);
CREATE INDEX completions_erasable ON completions(expires_ms) WHERE crc <> 0;
CREATE INDEX completions_session ON completions(session, seq) WHERE session <> '';

CREATE TABLE feedback(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, completion_id TEXT NOT NULL, choice INTEGER NOT NULL,
  tenant TEXT NOT NULL, key_id TEXT NOT NULL, rater TEXT NOT NULL, source TEXT NOT NULL CHECK(source IN('verifier','app','session')),
  idempotency TEXT, body_sha256 BLOB NOT NULL, reward REAL NOT NULL CHECK(reward BETWEEN -1 AND 1),
  grader TEXT NOT NULL DEFAULT '', evidence TEXT NOT NULL DEFAULT '', metadata TEXT, superseded INTEGER NOT NULL DEFAULT 0 CHECK(superseded IN(0,1)),
  created_ms INTEGER NOT NULL, crc INTEGER NOT NULL,
  FOREIGN KEY(completion_id, choice) REFERENCES completions(id, choice) ON DELETE CASCADE) STRICT;
CREATE UNIQUE INDEX feedback_once ON feedback(completion_id, choice, source, key_id, rater) WHERE superseded = 0;
CREATE INDEX feedback_completion ON feedback(completion_id, choice);
CREATE UNIQUE INDEX feedback_idempotency ON feedback(key_id, idempotency) WHERE idempotency IS NOT NULL;

CREATE TABLE waiting(seq INTEGER PRIMARY KEY REFERENCES completions(seq) ON DELETE CASCADE) STRICT;

CREATE TABLE prompts(
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, dataset TEXT NOT NULL, prompt_ids BLOB NOT NULL, item TEXT NOT NULL, grader TEXT NOT NULL,
  created_ms INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE INDEX prompts_dataset ON prompts(dataset, id);
CREATE TABLE trees(
  id TEXT PRIMARY KEY, version INTEGER NOT NULL, tree TEXT NOT NULL, created_ms INTEGER NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE INDEX trees_created ON trees(created_ms, id);

CREATE TABLE policies(
  version INTEGER PRIMARY KEY, parent INTEGER REFERENCES policies, state TEXT NOT NULL CHECK(state IN('candidate','published','rejected','bad')),
  path TEXT NOT NULL, manifest_sha256 BLOB NOT NULL, reason TEXT NOT NULL DEFAULT '', eval TEXT, created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE pointers(name TEXT PRIMARY KEY CHECK(name IN('serving','training')), version INTEGER NOT NULL REFERENCES policies) STRICT;

CREATE TABLE updates(
  id INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL DEFAULT '', parent INTEGER NOT NULL, version INTEGER,
  state TEXT NOT NULL CHECK(state IN('applied','rejected')), reason TEXT NOT NULL DEFAULT '', report TEXT NOT NULL, created_ms INTEGER NOT NULL) STRICT;
CREATE TABLE rollouts(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, update_id INTEGER NOT NULL REFERENCES updates, problem TEXT NOT NULL,
  version INTEGER NOT NULL, prompt_ids BLOB NOT NULL, token_ids BLOB NOT NULL, logprobs BLOB NOT NULL,
  reward REAL NOT NULL, advantage REAL NOT NULL, reason TEXT NOT NULL, crc INTEGER NOT NULL) STRICT;
CREATE TABLE consumed(
  completion_id TEXT NOT NULL, choice INTEGER NOT NULL, update_id INTEGER NOT NULL REFERENCES updates, weight REAL NOT NULL,
  PRIMARY KEY(completion_id, choice)) STRICT, WITHOUT ROWID;

CREATE TABLE sessions(
  id TEXT PRIMARY KEY, task TEXT NOT NULL, tenant TEXT NOT NULL, key_sha256 BLOB NOT NULL UNIQUE, created_ms INTEGER NOT NULL,
  expires_ms INTEGER NOT NULL, ended_ms INTEGER) STRICT;
CREATE TABLE jobs(
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, state TEXT NOT NULL, body TEXT NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL) STRICT;
CREATE INDEX jobs_tenant ON jobs(tenant, created_ms);
CREATE TABLE files(
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, name TEXT NOT NULL, purpose TEXT NOT NULL, content BLOB NOT NULL, sha256 BLOB NOT NULL,
  created_ms INTEGER NOT NULL) STRICT;
CREATE INDEX files_tenant ON files(tenant, created_ms);
CREATE TABLE events(
  seq INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, actor TEXT NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL, data TEXT,
  created_ms INTEGER NOT NULL) STRICT;
CREATE INDEX events_subject ON events(subject, seq);
`

// additions came to version 1 later: they are made where they are missing, and programs that do not know them need not. pruned counts updates
// that went and are still counted: those of no job.
const additions = `
CREATE TABLE IF NOT EXISTS pruned(job TEXT PRIMARY KEY, updates INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS updates_created ON updates(created_ms);
CREATE INDEX IF NOT EXISTS events_created ON events(created_ms);
CREATE INDEX IF NOT EXISTS rollouts_update ON rollouts(update_id);
CREATE INDEX IF NOT EXISTS consumed_update ON consumed(update_id);
`
