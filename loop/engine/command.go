package engine

import (
	"cyberdb-fast/codec"
	"cyberdb-fast/codec/value"
)

// TableKind says which tables a command is for.
type TableKind uint8

// The kinds of tables that commands are for.
const (
	AnyTable  TableKind = iota // none, or the command finds its tables itself
	SomeTable                  // one that is there, of either kind
	DictTable
	ListTable
	LocksTableKind
	DictOrLocks // what is kept in a dict
)

// Command is a row of the command table: what the engine does for an opcode. The form of its
// arguments is in codec.Shapes.
type Command struct {
	Kind        TableKind
	OnKey       bool // acts on one key of a dict, its first argument
	Versioned   bool // the reply can carry the entry's version
	Conditional bool // takes the flag IF VERSION
	Absent      bool // takes codec.Absent as an argument
	Lives       bool // takes the flag TIME TO LIVE
	Effect      bool // only a log holds it: what the server did by itself
	Mutates     bool // changes tables, if it succeeds
	Grows       bool // may add data: refused when there is no memory for more
	Looks       bool // Mutates and Grows hold only if it finds something to do: it asks itself whether it may
	Once        bool // changes no table, yet must not be sent again after a lost connection
	Waits       bool // for the disk, or for others of its kind: it holds no processor meanwhile

	// what is estimated before the request is executed: see Executor.estimate
	Keys KeyArgs
	Base uint16 // nanoseconds beyond baseCost
	Each uint16 // nanoseconds for each argument, beyond value.Cost

	// Run executes the command and appends its reply's body. nil: the opcode is not known.
	Run func(x *Executor) error
	// View, of a long read, cuts what it reads and returns what makes the reply from it. It is
	// called when Run answered ErrLong.
	View func(x *Executor) (Stream, error)
}

// Commands is a command table: a row for each opcode.
type Commands [256]Command

// Protocol returns a copy of the protocol's command table, for a program that takes rows away or
// puts others in their place.
func Protocol() *Commands {
	own := protocol
	return &own
}

// KeyArgs says which arguments are used as keys or compared.
type KeyArgs uint8

// The arguments that are used as keys or compared.
const (
	NoKeys   KeyArgs = iota
	FirstKey         // the first after the table's name
	AllKeys
)

// baseCost is what every request takes, in nanoseconds.
const baseCost = 200

// use says what argument i, of which 0 is the table's name, is used for.
func (c *Command) use(i int) value.Use {
	if c.Keys == FirstKey && i == 1 || c.Keys == AllKeys && i > 0 {
		return value.UseKey
	}
	return value.UseCheck
}

// protocol is the command table of codec/PROTOCOL.md. Everything that changes data goes through it.
var protocol = Commands{
	codec.OpPing:   {Run: ping},
	codec.OpInfo:   {Waits: true, Base: 60_000, Run: info},
	codec.OpSave:   {Waits: true, Run: save},
	codec.OpCancel: {Once: true, Run: cancel},

	codec.OpCreateDict: {Mutates: true, Grows: true, Base: 4000, Keys: AllKeys, Each: 100, Run: createTable},
	codec.OpCreateList: {Mutates: true, Grows: true, Base: 4000, Each: 40, Run: createTable},
	codec.OpExists:     {Run: exists},
	codec.OpKind:       {Kind: SomeTable, Run: kind},
	codec.OpTables:     {Run: tables, View: viewTables},
	codec.OpDrop:       {Mutates: true, Base: 4000, Run: drop},
	codec.OpRename:     {Mutates: true, Base: 4000, Run: rename},
	codec.OpConfigure:  {Kind: SomeTable, Mutates: true, Base: 4000, Run: configure},
	codec.OpOptions:    {Kind: SomeTable, Run: options},

	codec.OpDictGet: {Kind: DictTable, OnKey: true, Versioned: true, Keys: FirstKey, Run: dictGet},
	codec.OpDictSet: {
		Kind:        DictTable,
		OnKey:       true,
		Versioned:   true,
		Conditional: true,
		Lives:       true,
		Mutates:     true,
		Grows:       true,
		Keys:        FirstKey,
		Run:         dictSet,
	},
	codec.OpDictDelete: {
		Kind:        DictTable,
		OnKey:       true,
		Conditional: true,
		Mutates:     true,
		Keys:        FirstKey,
		Run:         dictDelete,
	},
	codec.OpDictContains: {Kind: DictTable, OnKey: true, Keys: FirstKey, Run: dictContains},
	codec.OpDictLen:      {Kind: DictTable, Run: tableLen},
	codec.OpDictSetDefault: {
		Kind:      DictTable,
		OnKey:     true,
		Versioned: true,
		Lives:     true,
		Mutates:   true,
		Grows:     true,
		Keys:      FirstKey,
		Run:       dictSetDefault,
	},
	codec.OpDictUpdate: {
		Kind:    DictTable,
		Mutates: true,
		Lives:   true,
		Grows:   true,
		Keys:    AllKeys,
		Each:    100,
		Run:     dictUpdate,
	},
	codec.OpDictPop: {
		Kind:        DictTable,
		OnKey:       true,
		Conditional: true,
		Mutates:     true,
		Keys:        FirstKey,
		Run:         dictPop,
	},
	codec.OpDictPopItem: {Kind: DictTable, Mutates: true, Run: dictPopItem},
	codec.OpDictClear:   {Kind: DictTable, Mutates: true, Run: dictClear},
	codec.OpDictKeys:    {Kind: DictTable, Run: dictKeys, View: viewKeys},
	codec.OpDictValues:  {Kind: DictTable, Run: dictValues, View: viewValues},
	codec.OpDictItems:   {Kind: DictTable, Run: dictItems, View: viewItems},
	codec.OpDictGetMany: {Kind: DictTable, Keys: AllKeys, Each: 100, Run: dictGetMany},
	codec.OpDictIncrement: {
		Kind:        DictTable,
		OnKey:       true,
		Versioned:   true,
		Conditional: true,
		Lives:       true,
		Mutates:     true,
		Grows:       true,
		Keys:        AllKeys,
		Run:         dictIncrement,
	},
	codec.OpDictCompareAndSet: {
		Kind:      DictTable,
		OnKey:     true,
		Versioned: true,
		Absent:    true,
		Lives:     true,
		Mutates:   true,
		Grows:     true,
		Keys:      AllKeys,
		Run:       dictCompareAndSet,
	},
	codec.OpDictScan: {Kind: DictTable, Run: dictScan},
	codec.OpDictTTL:  {Kind: DictTable, OnKey: true, Keys: FirstKey, Run: dictTTL},
	codec.OpDictExpire: {
		Kind:        DictTable,
		OnKey:       true,
		Versioned:   true,
		Conditional: true,
		Lives:       true,
		Mutates:     true,
		Keys:        FirstKey,
		Run:         dictExpire,
	},
	codec.OpDictTouch: {Kind: DictTable, OnKey: true, Mutates: true, Keys: FirstKey, Run: dictTouch},
	codec.OpDictGetOrCompute: {
		Kind: DictTable, OnKey: true, Mutates: true, Grows: true, Looks: true, Keys: FirstKey, Run: dictGetOrCompute,
	},
	codec.OpDictDeleteMany: {Kind: DictTable, Mutates: true, Keys: AllKeys, Each: 100, Run: dictDeleteMany},
	codec.OpDictForget:     {Kind: DictOrLocks, Absent: true, Mutates: true, Effect: true, Each: 100, Run: dictForget},
	codec.OpDictHorizon:    {Kind: DictOrLocks, Mutates: true, Effect: true, Run: dictHorizon},

	codec.OpListAppend:      {Kind: ListTable, Mutates: true, Grows: true, Run: listAppend},
	codec.OpListExtend:      {Kind: ListTable, Mutates: true, Grows: true, Each: 40, Run: listExtend},
	codec.OpListInsert:      {Kind: ListTable, Mutates: true, Grows: true, Run: listInsert},
	codec.OpListGet:         {Kind: ListTable, Run: listGet},
	codec.OpListSet:         {Kind: ListTable, Mutates: true, Grows: true, Run: listSet},
	codec.OpListDelete:      {Kind: ListTable, Mutates: true, Run: listDelete},
	codec.OpListSlice:       {Kind: ListTable, Run: listSlice, View: viewSlice},
	codec.OpListSetSlice:    {Kind: ListTable, Mutates: true, Grows: true, Each: 200, Run: listSetSlice},
	codec.OpListDeleteSlice: {Kind: ListTable, Mutates: true, Run: listDeleteSlice},
	codec.OpListPop:         {Kind: ListTable, Mutates: true, Run: listPop},
	codec.OpListRemove:      {Kind: ListTable, Mutates: true, Keys: AllKeys, Run: listRemove},
	codec.OpListCount:       {Kind: ListTable, Keys: AllKeys, Run: listCount, View: viewCount},
	codec.OpListIndex:       {Kind: ListTable, Keys: AllKeys, Run: listIndex, View: viewIndex},
	codec.OpListReverse:     {Kind: ListTable, Mutates: true, Run: listReverse},
	codec.OpListSort:        {Kind: ListTable, Mutates: true, Keys: AllKeys, Run: listSort},
	codec.OpListClear:       {Kind: ListTable, Mutates: true, Run: listClear},
	codec.OpListLen:         {Kind: ListTable, Run: tableLen},
	codec.OpListContains:    {Kind: ListTable, Keys: AllKeys, Run: listContains, View: viewContains},
	codec.OpListAll:         {Kind: ListTable, Run: listAll, View: viewAll},
	codec.OpListAppendLeft:  {Kind: ListTable, Mutates: true, Grows: true, Run: listAppendLeft},
	codec.OpListPopLeft:     {Kind: ListTable, Mutates: true, Run: listPopLeft},
	codec.OpListPut:         {Kind: ListTable, Mutates: true, Grows: true, Run: listPut},
	codec.OpListTake:        {Kind: ListTable, Mutates: true, Run: listTake},
	codec.OpListAck:         {Kind: ListTable, Mutates: true, Run: listAck},
	codec.OpListNack:        {Kind: ListTable, Mutates: true, Run: listNack},
	codec.OpListExtendLease: {Kind: ListTable, Mutates: true, Run: listExtendLease},
	codec.OpListReturn:      {Kind: ListTable, Mutates: true, Effect: true, Each: 100, Run: listReturn},
	codec.OpListHeld:        {Kind: ListTable, Run: listHeld},

	codec.OpLock:         {Mutates: true, Grows: true, Run: lock},
	codec.OpUnlock:       {Mutates: true, Run: unlock},
	codec.OpRenewLock:    {Mutates: true, Run: renewLock},
	codec.OpLockHolders:  {Run: lockHolders},
	codec.OpComputed:     {Mutates: true, Keys: FirstKey, Run: computed},
	codec.OpRenewCompute: {Mutates: true, Keys: FirstKey, Run: renewCompute},
	codec.OpCreateLocks:  {Mutates: true, Effect: true, Run: createLocks},
	codec.OpLockGrant:    {Kind: LocksTableKind, Mutates: true, Effect: true, Run: lockGrant},
	codec.OpLockRelease:  {Kind: LocksTableKind, Mutates: true, Effect: true, Run: lockRelease},
	codec.OpPublish:      {Once: true, Base: 500, Run: publish},
	codec.OpSubscribe:    {Once: true, Base: 2000, Run: subscribe},
	codec.OpReceive:      {Once: true, Base: 200, Run: receive},
	codec.OpUnsubscribe:  {Once: true, Base: 2000, Run: unsubscribe},
}
