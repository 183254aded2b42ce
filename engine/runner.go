package engine

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"astro/internal/device"
	"astro/model"
	"astro/model/llama"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/core/tensors"
)

// RunnerConfig sizes a DeviceRunner. All fields but TensorParallel, Form and Background are required.
type RunnerConfig struct {
	Pages            int          // of each KV pool
	PageTokens       int          // positions per page
	MaxSlots         int          // Sequences in one decode batch
	ChunkTokens      int          // tokens of one prefill row, at most
	MaxContextTokens int          // positions of a Sequence, at most
	KVType           dtypes.DType // of the pools: Float32, BFloat16 or, on native kernels, Float16 or Int8
	TensorParallel   int          // devices that the model is spread over, from the first one on; 0 = 1
	Form             Form         // how the model runs; across devices only as a graph
	GatherBytes      int64        // bound on the keys and values that one layer's attention gathers; larger batches are split; on go also on windows
	LogitsBytes      int64        // bound on the logits of a scored batch; larger ones are split
	Background       bool         // compile Buckets in the background, running in larger ones meanwhile
}

// DefaultGatherBytes and DefaultLogitsBytes bound what a step needs besides weights and pools.
const (
	DefaultGatherBytes = 256 << 20
	DefaultLogitsBytes = 64 << 20
)

// DeviceRunner runs Plans on a Device: it owns the KV pools and the compiled programs.
type DeviceRunner struct {
	config   RunnerConfig
	device   *device.Device
	forward  forward
	buckets  *buckets
	draws    *draws
	copies   map[int]*device.Program // by number of pages
	whole    []shapes.Shape          // of a Policy's tensors
	policies map[int64]*published
	prepared prepared
	windows  windows
	busy     time.Duration

	// What follows is of the first device, then of the second, and so on (see arrange).
	ropes []*tensors.Tensor // cos and sin
	pools []*tensors.Tensor // K and V of layer 0, K and V of layer 1, ...; on native kernels one of all
}

// NewDeviceRunner makes the pools and compiles the programs that any work fits in, so that the first Request waits for nothing.
// The first Policy gives the model's shape; it is published. Close frees what it holds.
func NewDeviceRunner(d *device.Device, first *model.Policy, c RunnerConfig) (*DeviceRunner, error) {
	cfg := first.Weights.Config
	r := &DeviceRunner{config: c, device: d, copies: map[int]*device.Program{}, policies: map[int64]*published{}}
	for _, w := range first.Weights.Tensors {
		r.whole = append(r.whole, w.Shape())
	}
	var err error
	if r.forward, err = newForward(d, first.Weights, c); err != nil {
		return nil, err
	}
	if d.Kind() == device.Go {
		r.forward.windowBytes = c.GatherBytes
	}
	r.windows.writes = make([]int64, c.Pages)
	r.draws = newDraws(d, cfg.Vocab)
	if c.Background {
		r.draws.sampler.CompileInBackground()
	}
	r.buckets = newBuckets(c.Background, r.compile)
	for range r.forward.devices {
		cos, sin := llama.RopeTables(cfg, c.MaxContextTokens)
		r.ropes = append(r.ropes, cos, sin)
	}
	if err := r.prepare(first); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// compile makes the program of one Bucket and, where nobody waits for it, what its logits are usually drawn with.
func (r *DeviceRunner) compile(b Bucket) (*device.Program, error) {
	if r.config.Background && b.Steps == 0 {
		if err := r.draws.warm(b.Seqs); err != nil {
			return nil, err
		}
	}
	return r.device.CompileAcross(r.forward.devices, r.forward.spec(b))
}

func (r *DeviceRunner) prepare(first *model.Policy) error {
	if err := r.Publish(first); err != nil {
		return err
	}
	if err := r.resetPools(); err != nil {
		return err
	}
	if !r.config.Background {
		return nil
	}
	for _, b := range r.fallbacks() {
		if _, err := r.buckets.build(b); err != nil {
			return err
		}
	}
	return nil
}

// fallbacks are the Buckets that hold any decode and any prefill.
func (r *DeviceRunner) fallbacks() []Bucket {
	return []Bucket{r.bucket(r.config.MaxSlots, 1, r.maxPages(), false), r.bucket(1, r.config.ChunkTokens, r.maxPages(), false)}
}

// Busy is the time spent inside forward and sampling programs so far (on the go backend: in the host's sampler); the rest of a
// step is the host's.
func (r *DeviceRunner) Busy() time.Duration { return r.busy + r.draws.sampler.Busy() }

// Programs counts those of a runner.
type Programs struct {
	Ready   int // compiled
	Pending int // wanted, and not compiled yet; meanwhile their rows run in others, which may round differently
}

// Programs counts the programs, of the forward pass and of sampling. It may be called from any goroutine.
func (r *DeviceRunner) Programs() Programs {
	ready, pending := r.buckets.count()
	drawReady, drawPending := r.draws.sampler.Programs()
	return Programs{Ready: ready + drawReady, Pending: pending + drawPending}
}

// Warm asks for the usual Buckets in the background: decodes of every size and lone prefills, at short contexts first.
func (r *DeviceRunner) Warm() {
	var list []Bucket
	for pages := 4; pages <= min(32, r.maxPages()); pages *= 2 {
		for tokens := 8; tokens < 2*r.config.ChunkTokens && tokens <= pages*r.config.PageTokens; tokens *= 2 {
			list = append(list, r.bucket(1, tokens, pages, false))
		}
		for seqs := 1; seqs < 2*r.config.MaxSlots; seqs *= 2 {
			list = append(list, r.bucket(seqs, 1, pages, false))
		}
	}
	r.buckets.warm(list)
}

// Publish implements Runner.
func (r *DeviceRunner) Publish(p *model.Policy) error {
	if r.policies[p.Version] != nil {
		return fmt.Errorf("publish policy: version %d is there already; versions only grow", p.Version)
	}
	if err := r.refuses(p); err != nil {
		return fmt.Errorf("publish policy %d: %w", p.Version, err)
	}
	made, err := r.prepared.take(r, p)
	if err != nil {
		return fmt.Errorf("publish policy %d: %w", p.Version, err)
	}
	p.Retain()
	r.policies[p.Version] = made
	return nil
}

// once compiles a program of one result, runs it and forgets it. The result is one tensor for each device.
func (r *DeviceRunner) once(s device.Spec, args ...*tensors.Tensor) ([]*tensors.Tensor, error) {
	program, err := r.device.CompileAcross(r.forward.devices, s)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	return program.Run(args...)
}

// Retire implements Runner.
func (r *DeviceRunner) Retire(version int64) {
	if p := r.policies[version]; p != nil {
		delete(r.policies, version)
		p.free()
		p.policy.Release()
	}
}

// Run implements Runner: copies first, then the rows, grouped by what they can share a program run with.
func (r *DeviceRunner) Run(plan *Plan) (Result, error) {
	result, before := Result{Rows: make([]RowResult, len(plan.Rows))}, r.Busy()
	if err := r.copyPages(plan.Copies); err != nil {
		return Result{}, err
	}
	for _, g := range r.groups(plan.Rows) {
		for rows := g.rows; len(rows) > 0; {
			n, err := r.runSome(g, plan.Rows, rows, result.Rows)
			if err != nil {
				return Result{}, err
			}
			rows = rows[n:]
		}
	}
	result.Busy = r.Busy() - before
	return result, nil
}

// A group is rows that run in the same shape of program with the same weights.
type group struct {
	version int64
	tokens  int // per Sequence, a power of two
	score   bool
	embed   bool
	steps   int   // tokens drawn for each Sequence by the program itself; 0 = one, by the sampler
	rows    []int // indexes in Plan.Rows
}

// groups sorts rows by version, shape and context length, so that short contexts do not pay for long ones' page tables
// where a group is split.
func (r *DeviceRunner) groups(rows []Row) []*group {
	steps := stepsAhead(rows)
	var list []*group
	find := func(g group) *group {
		for _, old := range list {
			if old.version == g.version && old.tokens == g.tokens && old.score == g.score && old.embed == g.embed && old.steps == g.steps {
				return old
			}
		}
		list = append(list, &g)
		return &g
	}
	for i := range rows {
		row := &rows[i]
		want := group{version: row.Version, tokens: tokensBucket(len(row.Tokens)), score: row.Score != nil, embed: row.Embed}
		if row.decodes() {
			want.steps = steps
		}
		g := find(want)
		g.rows = append(g.rows, i)
	}
	for _, g := range list {
		slices.SortStableFunc(g.rows, func(a, b int) int { return cmp.Compare(len(rows[a].Pages), len(rows[b].Pages)) })
	}
	return list
}

// runSome runs as many of the listed rows as one program takes and says how many that were.
func (r *DeviceRunner) runSome(g *group, all []Row, list []int, out []RowResult) (int, error) {
	if g.steps > 0 {
		return r.runAhead(g, all, list, out)
	}
	want := r.bucket(len(list), g.tokens, longest(all, list), g.score)
	want.Embed = g.embed
	b, program, err := r.buckets.pick(want, len(list))
	if err != nil {
		return 0, err
	}
	list = list[:min(b.Seqs, len(list))]
	policy, step := r.policy(g.version), r.step
	if r.forward.windowed(b) {
		list, step = r.windows.place(all, list, r.config.PageTokens), r.stepOnWindows
	}
	made, err := step(b, program, policy, all, list)
	if err != nil {
		return 0, err
	}
	defer freeAll(made)
	if err := r.draws.sample(made[0], all, list, out); err != nil {
		return 0, err
	}
	if b.Score {
		err = r.draws.score(made[1], b, all, list, out)
	}
	if b.Embed && err == nil {
		err = takeEmbeddings(made[len(made)-1], all, list, out)
	}
	return len(list), err
}

// policy is what rows of a version run on.
func (r *DeviceRunner) policy(version int64) *published {
	p := r.policies[version]
	if p == nil {
		panic(fmt.Sprintf("BUG: got a row of version %d; want one that is published", version))
	}
	return p
}

// step runs one program: its logits [seqs, vocab], then what else the Bucket gives.
func (r *DeviceRunner) step(b Bucket, p *device.Program, policy *published, all []Row, list []int) ([]*tensors.Tensor, error) {
	batch := r.onEach(r.pack(b, all, list), b.Seqs, b.batchWidth())
	defer freeAll(batch)
	out, err := r.runOnPools(p, batch, r.ropes, policy.args)
	if err != nil {
		return nil, fmt.Errorf("run %v: %w", b, err)
	}
	for _, i := range list {
		row := &all[i]
		r.windows.wrote(row.Pages[row.Start/r.config.PageTokens:]...)
	}
	return out, nil
}

// runOnPools appends the pools to args, runs p and takes the updated pools from the end of its results. If that fails the pools
// are gone, for they were given away: new ones are made and ErrPoolsLost is told. Results other than pools are the same on every device;
// those of the first one stay.
func (r *DeviceRunner) runOnPools(p *device.Program, args ...[]*tensors.Tensor) ([]*tensors.Tensor, error) {
	out, err := r.timed(p, r.arrange(append(args, r.pools)...))
	if err != nil {
		return nil, errors.Join(err, ErrPoolsLost, r.resetPools())
	}
	results := (len(out) - len(r.pools)) / r.forward.devices
	for d := range r.forward.devices {
		made := r.of(d, out)
		copy(r.of(d, r.pools), made[results:])
		if d > 0 {
			freeAll(made[:results])
		}
	}
	return out[:results], nil
}

// timed runs a program.
func (r *DeviceRunner) timed(p *device.Program, args []*tensors.Tensor) ([]*tensors.Tensor, error) {
	start := time.Now()
	out, err := p.Run(args...)
	r.busy += time.Since(start)
	return out, err
}

// copyPages duplicates pages in every pool.
func (r *DeviceRunner) copyPages(copies []PageCopy) error {
	if len(copies) == 0 {
		return nil
	}
	n := powerOfTwo(len(copies))
	from, to := make([]int32, n), make([]int32, n)
	for i := range n {
		from[i], to[i] = 0, -1 // -1 = not copied
		if i < len(copies) {
			from[i], to[i] = copies[i].From, copies[i].To
			r.windows.wrote(copies[i].To)
		}
	}
	program := r.copies[n]
	if program == nil {
		var err error
		if program, err = r.device.CompileAcross(r.forward.devices, r.forward.copySpec(n)); err != nil {
			return fmt.Errorf("compile the copy of %d pages: %w", n, err)
		}
		r.copies[n] = program
	}
	fromIDs, toIDs := r.onEach(from, n), r.onEach(to, n)
	defer freeAll(fromIDs)
	defer freeAll(toIDs)
	if _, err := r.runOnPools(program, fromIDs, toIDs); err != nil {
		return fmt.Errorf("copy %d pages: %w", len(copies), err)
	}
	return nil
}

// resetPools makes empty pools, all zero: attention may read what no Sequence wrote, and it must be finite.
func (r *DeviceRunner) resetPools() error {
	freeAll(r.pools)
	r.windows.drop()
	r.pools = nil
	program, err := r.device.CompileAcross(r.forward.devices, r.forward.zeroSpec())
	if err == nil {
		defer program.Close()
		r.pools, err = r.emptyPools(program)
	}
	if err != nil {
		return fmt.Errorf("make KV pools of %d pages: %w; a smaller pool may fit", r.config.Pages, err)
	}
	return nil
}

// emptyPools makes every pool on each device.
func (r *DeviceRunner) emptyPools(program *device.Program) ([]*tensors.Tensor, error) {
	var zeros []*tensors.Tensor
	for range r.forward.devices {
		zeros = append(zeros, tensors.FromShape(shapes.Make(r.forward.poolShape().DType)))
	}
	defer freeAll(zeros)
	var made [][]*tensors.Tensor
	for range r.forward.pools() {
		pool, err := program.Run(zeros...)
		if err != nil {
			freeAll(r.arrange(made...))
			return nil, err
		}
		made = append(made, pool)
	}
	return r.arrange(made...), nil
}

// Close frees pools, programs and policies. Nothing may run any more.
func (r *DeviceRunner) Close() {
	r.buckets.close()
	r.draws.close()
	for _, p := range r.copies {
		p.Close()
	}
	for v := range r.policies {
		r.Retire(v)
	}
	r.prepared.mu.Lock()
	r.prepared.drop()
	r.prepared.mu.Unlock()
	freeAll(r.pools)
	r.windows.drop()
	freeAll(r.ropes)
}

func freeAll(list []*tensors.Tensor) {
	for _, t := range list {
		t.FinalizeAll() // an error says that it is gone already, as a donated tensor of a failed run is
	}
}
