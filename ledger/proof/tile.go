package proof

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math/bits"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// The measures of tiles (C2SP tlog-tiles).
const (
	TileHeight = 8               // levels of the tree from one level of tiles to the next
	TileWidth  = 1 << TileHeight // hashes in a full tile
	Entries    = -1              // the Level of a bundle of entries
)

// tileLevels is how many levels of tiles the largest log has.
const tileLevels = 8

// Tile names a run of hashes side by side, or a bundle of entries: those with the numbers Index*256 to Index*256+Width-1 of its
// level. At level 0 they are leaf hashes, above each is the root of a full tile of the level below.
type Tile struct {
	Level int   // 0 to 63, or Entries
	Index int64 // from 0
	Width int   // 1 to 256; below 256 the tile is partial
}

// Path is where the tile is served below the log's address: tile/<L>/<N>[.p/<W>] or tile/entries/<N>[.p/<W>], with N in groups of
// three digits, as x001/x234/067. It is empty for a tile that cannot be.
func (t Tile) Path() string {
	if t.Level < Entries || t.Level > 63 || t.Index < 0 || t.Index >= MaxSize/TileWidth || t.Width < 1 || t.Width > TileWidth {
		return ""
	}
	b := append(make([]byte, 0, 64), "tile/"...)
	if t.Level == Entries {
		b = append(b, "entries"...)
	} else {
		b = strconv.AppendInt(b, int64(t.Level), 10)
	}
	groups := int64(1)
	for n := t.Index; n >= 1000; n /= 1000 {
		groups *= 1000
	}
	for n := t.Index; ; groups /= 1000 {
		d := n / groups
		n %= groups
		b = append(b, '/')
		if groups > 1 {
			b = append(b, 'x')
		}
		b = append(b, byte('0'+d/100), byte('0'+d/10%10), byte('0'+d%10))
		if groups == 1 {
			break
		}
	}
	if t.Width < TileWidth {
		b = strconv.AppendInt(append(b, ".p/"...), int64(t.Width), 10)
	}
	return string(b)
}

// ParseTile reads a path as Path writes it, and nothing else. The error is ErrMalformed.
func ParseTile(path string) (Tile, error) {
	bad := func() (Tile, error) { return Tile{}, fmt.Errorf("tile path %.80q: %w", path, ErrMalformed) }
	if len(path) > 64 {
		return bad()
	}
	rest, _ := strings.CutPrefix(path, "tile/")
	level, rest, _ := strings.Cut(rest, "/")
	number, width, partial := strings.Cut(rest, ".p/")

	t := Tile{Level: Entries, Width: TileWidth}
	if level != "entries" {
		n, ok := parseDecimal(level, 63)
		if !ok {
			return bad()
		}
		t.Level = int(n)
	}
	if partial {
		n, ok := parseDecimal(width, TileWidth-1)
		if !ok {
			return bad()
		}
		t.Width = int(n)
	}
	for group := range strings.SplitSeq(number, "/") {
		n, err := strconv.ParseUint(strings.TrimPrefix(group, "x"), 10, 16)
		if err != nil || n > 999 || t.Index >= MaxSize/TileWidth {
			return bad()
		}
		t.Index = 1000*t.Index + int64(n)
	}
	// What was read loosely above, such as a missing x, does not come back as it was.
	if t.Path() != path {
		return bad()
	}
	return t, nil
}

// In reports whether a log of size leaves has all hashes or entries of the tile.
func (t Tile) In(size int64) bool {
	return t.Path() != "" && size >= 0 && size <= MaxSize && t.Index*TileWidth+int64(t.Width) <= tileHashes(t.Level, size)
}

// tileHashes is how many hashes the tiles of a level have together in a tree of size leaves.
func tileHashes(level int, size int64) int64 {
	return size >> (TileHeight * max(level, 0))
}

// Filled yields the tiles that become full when a log grows from m to n leaves, level by level, from left to right. A bundle of
// entries becomes full with its tile of level 0. It yields nothing where m and n are no sizes of a growing log.
func Filled(m, n int64) iter.Seq[Tile] {
	return func(yield func(Tile) bool) {
		if m < 0 || n > MaxSize {
			return
		}
		for level := range tileLevels {
			for i := tileHashes(level, m) / TileWidth; i < tileHashes(level, n)/TileWidth; i++ {
				if !yield(Tile{level, i, TileWidth}) {
					return
				}
			}
		}
	}
}

// Partial gives the partial tiles of a log of n leaves, lowest level first: at most one a level, none where the level's last tile is
// full. Entries are partial as level 0 is.
func Partial(n int64) []Tile {
	var tiles []Tile
	for level := 0; level < tileLevels && n > 0 && n <= MaxSize; level++ {
		if have := tileHashes(level, n); have%TileWidth != 0 {
			tiles = append(tiles, Tile{level, have / TileWidth, int(have % TileWidth)})
		}
	}
	return tiles
}

// TileRoot is the root over the hashes of a full tile, one after another: the hash that the level above has in its place.
func TileRoot(hashes []byte) Hash {
	level := make([]Hash, len(hashes)/len(Hash{}))
	for i := range level {
		level[i] = Hash(hashes[i*len(Hash{}):])
	}
	if len(level) == 0 {
		return sha256.Sum256(nil)
	}
	for n := len(level); n > 1; n /= 2 {
		for i := range n / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}

// Tiles fetches the hashes of a tile: width*32 bytes. It is asked for full tiles, and for partial ones only in the width that they
// have at the tree's size; a longer answer is an error, so a store that keeps a wider one must cut it.
type Tiles func(level int, index int64, width int) ([]byte, error)

// Tree is a log of a certain size whose hashes are read from tiles. It is a tlog.HashReader, and believes the tiles: what it gives is
// true if its Root is that of a checkpoint. Errors of Tiles come back wrapped.
type Tree struct {
	Size  int64
	Tiles Tiles
}

// ReadHashes returns the hashes at the indexes of x/mod's order of storage (tlog.StoredHashIndex), fetching each tile once.
func (t Tree) ReadHashes(indexes []int64) ([]Hash, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	var tiles []tlog.Tile
	var data [][]byte // of each tile
	hashes := make([]Hash, 0, len(indexes))
	for _, index := range indexes {
		if index < 0 || index >= tlog.StoredHashCount(t.Size) {
			return nil, fmt.Errorf("hash %d is not in a log of %d leaves", index, t.Size)
		}
		tile := tlog.TileForIndex(TileHeight, index)
		i := slices.IndexFunc(tiles, func(have tlog.Tile) bool { return have.L == tile.L && have.N == tile.N })
		if i < 0 {
			i = len(tiles)
			tile.W = int(min(TileWidth, tileHashes(tile.L, t.Size)-tile.N*TileWidth))
			b, err := t.fetch(Tile{tile.L, tile.N, tile.W})
			if err != nil {
				return nil, err
			}
			tiles, data = append(tiles, tile), append(data, b)
		}
		h, err := tlog.HashFromTile(tiles[i], data[i], index)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, h)
	}
	return hashes, nil
}

func (t Tree) fetch(tile Tile) ([]byte, error) {
	b, err := t.Tiles(tile.Level, tile.Index, tile.Width)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tile.Path(), err)
	}
	if want := tile.Width * len(Hash{}); len(b) != want {
		return nil, fmt.Errorf("%s: %w: %d bytes, want %d", tile.Path(), ErrMalformed, len(b), want)
	}
	return b, nil
}

func (t Tree) check() error {
	if t.Size < 0 || t.Size > MaxSize || t.Tiles == nil {
		return fmt.Errorf("log of %d leaves: %w: want tiles and a size from 0 to %d", t.Size, ErrMalformed, MaxSize)
	}
	return nil
}

// Root is the Merkle tree hash (RFC 6962, section 2.1).
func (t Tree) Root() (Hash, error) {
	if err := t.check(); err != nil {
		return Hash{}, err
	}
	return tlog.TreeHash(t.Size, t)
}

// Prove gives the inclusion proof of the leaf at index (RFC 6962, section 2.1.1): hashes of siblings, from the leaf's own upwards.
// It fails with ErrPlace for an index outside the tree.
func (t Tree) Prove(index int64) (tlog.RecordProof, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	if index < 0 || index >= t.Size {
		return nil, fmt.Errorf("%w: index %d, the log has %d leaves", ErrPlace, index, t.Size)
	}
	return tlog.ProveRecord(t.Size, index, t)
}

// ProveOlder gives the consistency proof that this tree begins with that of size older (RFC 6962, section 2.1.2), as CheckConsistent
// takes it. It is empty for older 0 and for older = Size, and fails with ErrPlace for a size outside the tree.
func (t Tree) ProveOlder(older int64) (tlog.TreeProof, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	switch {
	case older < 0 || older > t.Size:
		return nil, fmt.Errorf("%w: size %d, the log has %d leaves", ErrPlace, older, t.Size)
	case older == 0:
		return tlog.TreeProof{}, nil
	}
	return tlog.ProveTree(t.Size, older, t)
}

// Frontier reads the right edge, for a store that has lost it or does not believe it.
func (t Tree) Frontier() (*Frontier, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	var levels []int
	var indexes []int64
	for l := bits.Len64(uint64(t.Size)) - 1; l >= 0; l-- {
		if t.Size>>l&1 == 1 {
			levels = append(levels, l)
			indexes = append(indexes, tlog.StoredHashIndex(l, t.Size>>l-1))
		}
	}
	hashes, err := t.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	f := &Frontier{size: t.Size}
	for i, l := range levels {
		f.newest[l] = hashes[i]
	}
	return f, nil
}

// AppendEntry adds an entry at the end of a bundle: its length in two bytes, big-endian, then its bytes (C2SP tlog-tiles, log
// entries). It fails with ErrMalformed on an entry of more than MaxLeaf bytes.
func AppendEntry(bundle, entry []byte) ([]byte, error) {
	if len(entry) > MaxLeaf {
		return nil, fmt.Errorf("entry: %w: %d bytes, at most %d", ErrMalformed, len(entry), MaxLeaf)
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(entry)))
	return append(bundle, entry...), nil
}

// ParseBundle splits a bundle of exactly width entries, 1 to 256. The entries are parts of bundle, not copies. The error is
// ErrMalformed.
func ParseBundle(bundle []byte, width int) ([][]byte, error) {
	if width < 1 || width > TileWidth {
		return nil, fmt.Errorf("bundle: %w: %d entries, want 1 to %d", ErrMalformed, width, TileWidth)
	}
	entries := make([][]byte, 0, width)
	for rest := bundle; len(rest) > 0; {
		if len(entries) == width {
			return nil, fmt.Errorf("bundle: %w: %d bytes after entry %d, the last", ErrMalformed, len(rest), width)
		}
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return nil, fmt.Errorf("bundle: %w: it ends within entry %d of %d", ErrMalformed, len(entries)+1, width)
		}
		end := 2 + int(binary.BigEndian.Uint16(rest))
		entries = append(entries, rest[2:end:end])
		rest = rest[end:]
	}
	if len(entries) != width {
		return nil, fmt.Errorf("bundle: %w: %d entries, want %d", ErrMalformed, len(entries), width)
	}
	return entries, nil
}
