package loop

import (
	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
)

// tableKind says which tables a command is for.
type tableKind uint8

const (
	anyTable  tableKind = iota // none, or the command finds its tables itself
	someTable                  // one that is there, of either kind
	dictTable
	listTable
)

// command is a row of the command table: what the server does for an opcode. The form of its arguments is in codec.Shapes.
type command struct {
	kind        tableKind
	onKey       bool // acts on one key of a dict, its first argument
	versioned   bool // the reply can carry the entry's version
	conditional bool // takes the flag IF VERSION
	absent      bool // takes codec.Absent as an argument
	mutates     bool // changes tables, if it succeeds
	grows       bool // may add data: refused when there is no memory for more
	waits       bool // for the disk, more than it works

	// what is estimated before the request is executed: see executor.estimate
	keys keyArgs
	base uint16 // nanoseconds beyond baseCost
	each uint16 // nanoseconds for each argument, beyond value.Cost

	// run executes the command: its reply's body is appended to x.body.
	run func(x *executor) error
	// view, of a long read, cuts what it reads and returns what makes the reply from it. It is called when run answered ErrLong.
	view func(x *executor) (stream, error)
}

// keyArgs says which arguments are used as keys or compared.
type keyArgs uint8

const (
	noKeys   keyArgs = iota
	firstKey         // the first behind the table's name
	allKeys
)

// baseCost is what every request takes, in nanoseconds.
const baseCost = 200

// use says what argument i, of which 0 is the table's name, is used for.
func (c *command) use(i int) value.Use {
	if c.keys == firstKey && i == 1 || c.keys == allKeys && i > 0 {
		return value.AsKey
	}
	return value.ToCheck
}

// commands is the command table. Everything that changes data goes through it.
var commands = [256]command{
	codec.OpPing: {run: ping},
	codec.OpInfo: {base: 60_000, run: info},
	codec.OpSave: {waits: true, run: save},

	codec.OpCreateDict: {mutates: true, grows: true, base: 4000, keys: allKeys, each: 100, run: createTable},
	codec.OpCreateList: {mutates: true, grows: true, base: 4000, each: 40, run: createTable},
	codec.OpExists:     {run: exists},
	codec.OpKind:       {kind: someTable, run: kind},
	codec.OpTables:     {run: tables, view: viewTables},
	codec.OpDrop:       {mutates: true, base: 4000, run: drop},
	codec.OpRename:     {mutates: true, base: 4000, run: rename},

	codec.OpDictGet:           {kind: dictTable, onKey: true, versioned: true, keys: firstKey, run: dictGet},
	codec.OpDictSet:           {kind: dictTable, onKey: true, versioned: true, conditional: true, mutates: true, grows: true, keys: firstKey, run: dictSet},
	codec.OpDictDelete:        {kind: dictTable, onKey: true, conditional: true, mutates: true, keys: firstKey, run: dictDelete},
	codec.OpDictContains:      {kind: dictTable, onKey: true, keys: firstKey, run: dictContains},
	codec.OpDictLen:           {kind: dictTable, run: tableLen},
	codec.OpDictSetDefault:    {kind: dictTable, onKey: true, versioned: true, mutates: true, grows: true, keys: firstKey, run: dictSetDefault},
	codec.OpDictUpdate:        {kind: dictTable, mutates: true, grows: true, keys: allKeys, each: 100, run: dictUpdate},
	codec.OpDictPop:           {kind: dictTable, onKey: true, conditional: true, mutates: true, keys: firstKey, run: dictPop},
	codec.OpDictPopItem:       {kind: dictTable, mutates: true, run: dictPopItem},
	codec.OpDictClear:         {kind: dictTable, mutates: true, run: dictClear},
	codec.OpDictKeys:          {kind: dictTable, run: dictKeys, view: viewKeys},
	codec.OpDictValues:        {kind: dictTable, run: dictValues, view: viewValues},
	codec.OpDictItems:         {kind: dictTable, run: dictItems, view: viewItems},
	codec.OpDictGetMany:       {kind: dictTable, keys: allKeys, each: 100, run: dictGetMany},
	codec.OpDictIncrement:     {kind: dictTable, onKey: true, versioned: true, conditional: true, mutates: true, grows: true, keys: allKeys, run: dictIncrement},
	codec.OpDictCompareAndSet: {kind: dictTable, onKey: true, versioned: true, absent: true, mutates: true, grows: true, keys: allKeys, run: dictCompareAndSet},
	codec.OpDictScan:          {kind: dictTable, run: dictScan},

	codec.OpListAppend:      {kind: listTable, mutates: true, grows: true, run: listAppend},
	codec.OpListExtend:      {kind: listTable, mutates: true, grows: true, each: 40, run: listExtend},
	codec.OpListInsert:      {kind: listTable, mutates: true, grows: true, run: listInsert},
	codec.OpListGet:         {kind: listTable, run: listGet},
	codec.OpListSet:         {kind: listTable, mutates: true, grows: true, run: listSet},
	codec.OpListDelete:      {kind: listTable, mutates: true, run: listDelete},
	codec.OpListSlice:       {kind: listTable, run: listSlice, view: viewSlice},
	codec.OpListSetSlice:    {kind: listTable, mutates: true, grows: true, each: 200, run: listSetSlice},
	codec.OpListDeleteSlice: {kind: listTable, mutates: true, run: listDeleteSlice},
	codec.OpListPop:         {kind: listTable, mutates: true, run: listPop},
	codec.OpListRemove:      {kind: listTable, mutates: true, keys: allKeys, run: listRemove},
	codec.OpListCount:       {kind: listTable, keys: allKeys, run: listCount, view: viewCount},
	codec.OpListIndex:       {kind: listTable, keys: allKeys, run: listIndex, view: viewIndex},
	codec.OpListReverse:     {kind: listTable, mutates: true, run: listReverse},
	codec.OpListSort:        {kind: listTable, mutates: true, keys: allKeys, run: listSort},
	codec.OpListClear:       {kind: listTable, mutates: true, run: listClear},
	codec.OpListLen:         {kind: listTable, run: tableLen},
	codec.OpListContains:    {kind: listTable, keys: allKeys, run: listContains, view: viewContains},
	codec.OpListAll:         {kind: listTable, run: listAll, view: viewAll},
	codec.OpListAppendLeft:  {kind: listTable, mutates: true, grows: true, run: listAppendLeft},
	codec.OpListPopLeft:     {kind: listTable, mutates: true, run: listPopLeft},
}
