package engine

// pack lays the rows out as forward.build reads them. What pads a batch has slot -1 (nothing is written) and position 0.
func (r *DeviceRunner) pack(b Bucket, all []Row, list []int) []int32 {
	width := b.batchWidth()
	flat := make([]int32, b.Seqs*width)
	for s := range b.Seqs {
		line := flat[s*width : (s+1)*width]
		if b.Steps > 0 {
			var row *Row
			if s < len(list) {
				row = &all[list[s]]
			}
			r.packAhead(b, line, row)
			continue
		}
		slots := line[2*b.Tokens : 3*b.Tokens]
		for i := range slots {
			slots[i] = -1
		}
		if s < len(list) {
			r.packRow(b, line, &all[list[s]])
		}
	}
	return flat
}

func (r *DeviceRunner) packRow(b Bucket, line []int32, row *Row) {
	tokens, positions, slots := line[:b.Tokens], line[b.Tokens:2*b.Tokens], line[2*b.Tokens:3*b.Tokens]
	for i, token := range row.Tokens {
		position := row.Start + i
		tokens[i], positions[i], slots[i] = token, int32(position), r.slot(row, position)
	}
	copy(line[3*b.Tokens:], row.Pages)
	line[len(line)-1] = int32(len(row.Tokens) - 1)
}

// slot is where keys and values of a position are in the pools.
func (r *DeviceRunner) slot(row *Row, position int) int32 {
	return row.Pages[position/r.config.PageTokens]*int32(r.config.PageTokens) + int32(position%r.config.PageTokens)
}

// bucket is the shape for n Sequences, within what one program may gather and return. Native kernels gather nothing, and look at the pages
// that there are: a table of any length will do.
func (r *DeviceRunner) bucket(n, tokens, pages int, score bool) Bucket {
	b := Bucket{Tokens: tokensBucket(tokens), Pages: min(max(powerOfTwo(pages), 4), r.maxPages()), Score: score}
	c := r.forward.config
	limit := r.config.MaxSlots
	if r.forward.gathers(r.device.Kind(), b) {
		limit = min(limit, max(1, int(r.config.GatherBytes/(int64(b.Pages)*int64(2*c.KVHeads*r.config.PageTokens*c.HeadDim)*4))))
	}
	if r.forward.packed != nil {
		b.Pages = r.maxPages()
	}
	if b.Tokens > 1 {
		limit = min(limit, max(1, r.config.ChunkTokens/b.Tokens))
	}
	if score {
		limit = min(limit, max(1, int(r.config.LogitsBytes/(int64(b.Tokens)*int64(c.Vocab*r.forward.devices)*4)))) // logits are whole on every device
	}
	b.Seqs = min(powerOfTwo(n), powerOfTwo(limit+1)/2)
	return b
}

func (r *DeviceRunner) maxPages() int { return r.config.maxPages() }

// maxPages is the length of the longest page table.
func (c *RunnerConfig) maxPages() int { return (c.MaxContextTokens + c.PageTokens - 1) / c.PageTokens }

// tokensBucket rounds the tokens fed per Sequence up to 1 or a power of two from 8 on.
func tokensBucket(n int) int {
	if n == 1 {
		return 1
	}
	return max(8, powerOfTwo(n))
}

// powerOfTwo is the smallest power of two that is at least n.
func powerOfTwo(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}
