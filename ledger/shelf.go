package ledger

// shelf has copies of the currencies, accounts or transfers that one Apply touched, each once, and can take back what a group did to them.
type shelf[T any] struct {
	stored map[ID]T // in the snapshot; never changed
	ids    []ID     // of the copies; zero: one that a group made and that was taken back
	v      []T
	dirty  []bool       // whether the copy differs
	index  map[ID]int32 // where a copy stands; nil while they are few enough to be looked through
	past   []saved[T]   // copies as they were before the group at work, last first
}

type saved[T any] struct {
	at    int
	made  bool // the group made it: it was not there
	dirty bool
	v     T
}

const fewCopies = 8

func newShelf[T any](stored map[ID]T, n int) shelf[T] {
	s := shelf[T]{stored: stored, ids: make([]ID, 0, n), v: make([]T, 0, n), dirty: make([]bool, 0, n)}
	if n > fewCopies {
		s.index = make(map[ID]int32, n)
	}
	return s
}

// find gives the place of a copy, made if need be; -1: there is nothing of that id. Places stay, pointers into v do not.
func (s *shelf[T]) find(id ID) int {
	if i := s.place(id); i >= 0 {
		return i
	}
	if v, ok := s.stored[id]; ok {
		return s.put(id, v)
	}
	return -1
}

// place gives the place of a copy that is there already.
func (s *shelf[T]) place(id ID) int {
	if id.IsZero() {
		return -1
	}
	if s.index != nil {
		if i, ok := s.index[id]; ok {
			return int(i)
		}
		return -1
	}
	for i := range s.ids {
		if s.ids[i] == id {
			return i
		}
	}
	return -1
}

func (s *shelf[T]) put(id ID, v T) int {
	i := len(s.v)
	s.ids, s.v, s.dirty = append(s.ids, id), append(s.v, v), append(s.dirty, false)
	switch {
	case s.index != nil:
		s.index[id] = int32(i)
	case i == fewCopies:
		s.index = make(map[ID]int32, 4*fewCopies)
		for i, id := range s.ids {
			if !id.IsZero() {
				s.index[id] = int32(i)
			}
		}
	}
	return i
}

// change gives the copy at i for writing; keep: it may have to be taken back.
func (s *shelf[T]) change(i int, keep bool) *T {
	if keep {
		s.past = append(s.past, saved[T]{at: i, dirty: s.dirty[i], v: s.v[i]})
	}
	s.dirty[i] = true
	return &s.v[i]
}

// create adds what did not exist.
func (s *shelf[T]) create(id ID, v T, keep bool) {
	i := s.put(id, v)
	if s.dirty[i] = true; keep {
		s.past = append(s.past, saved[T]{at: i, made: true})
	}
}

// undo takes back what was done since begin.
func (s *shelf[T]) undo() {
	for i := len(s.past) - 1; i >= 0; i-- {
		p := &s.past[i]
		s.dirty[p.at] = p.dirty
		if !p.made {
			s.v[p.at] = p.v
			continue
		}
		delete(s.index, s.ids[p.at])
		s.ids[p.at] = ID{}
	}
	s.past = s.past[:0]
}

// begin makes what follows the group that undo takes back.
func (s *shelf[T]) begin() { s.past = s.past[:0] }

// changed is every copy that differs, in the order in which they were touched first. It is the shelf's last act.
func (s *shelf[T]) changed() []T {
	n := 0
	for i := range s.v {
		if s.dirty[i] {
			if n != i {
				s.v[n] = s.v[i]
			}
			n++
		}
	}
	if n == 0 {
		return nil
	}
	return s.v[:n:n]
}
