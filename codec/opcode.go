package codec

import "fmt"

// Opcode is the operation of a request. Opcodes are only ever added. On the wire: do not change.
type Opcode uint8

// Opcodes of the server itself.
const (
	OpPing   Opcode = 0x01
	OpInfo   Opcode = 0x02
	OpSave   Opcode = 0x03
	OpCancel Opcode = 0x04
)

// Opcodes of the table directory.
const (
	OpCreateDict Opcode = 0x10
	OpCreateList Opcode = 0x11
	OpExists     Opcode = 0x12
	OpKind       Opcode = 0x13
	OpTables     Opcode = 0x14
	OpDrop       Opcode = 0x15
	OpRename     Opcode = 0x16
	OpConfigure  Opcode = 0x17
	OpOptions    Opcode = 0x18
)

// Opcodes of dicts.
const (
	OpDictGet           Opcode = 0x20
	OpDictSet           Opcode = 0x21
	OpDictDelete        Opcode = 0x22
	OpDictContains      Opcode = 0x23
	OpDictLen           Opcode = 0x24
	OpDictSetDefault    Opcode = 0x25
	OpDictUpdate        Opcode = 0x26
	OpDictPop           Opcode = 0x27
	OpDictPopItem       Opcode = 0x28
	OpDictClear         Opcode = 0x29
	OpDictKeys          Opcode = 0x2a
	OpDictValues        Opcode = 0x2b
	OpDictItems         Opcode = 0x2c
	OpDictGetMany       Opcode = 0x2d
	OpDictIncrement     Opcode = 0x2e
	OpDictCompareAndSet Opcode = 0x2f
	OpDictScan          Opcode = 0x30
	OpDictTTL           Opcode = 0x31
	OpDictExpire        Opcode = 0x32
	OpDictTouch         Opcode = 0x33
	OpDictForget        Opcode = 0x34
	OpDictHorizon       Opcode = 0x35
	OpDictGetOrCompute  Opcode = 0x36
	OpDictDeleteMany    Opcode = 0x37
)

// Opcodes of lists.
const (
	OpListAppend      Opcode = 0x40
	OpListExtend      Opcode = 0x41
	OpListInsert      Opcode = 0x42
	OpListGet         Opcode = 0x43
	OpListSet         Opcode = 0x44
	OpListDelete      Opcode = 0x45
	OpListSlice       Opcode = 0x46
	OpListSetSlice    Opcode = 0x47
	OpListDeleteSlice Opcode = 0x48
	OpListPop         Opcode = 0x49
	OpListRemove      Opcode = 0x4a
	OpListCount       Opcode = 0x4b
	OpListIndex       Opcode = 0x4c
	OpListReverse     Opcode = 0x4d
	OpListSort        Opcode = 0x4e
	OpListClear       Opcode = 0x4f
	OpListLen         Opcode = 0x50
	OpListContains    Opcode = 0x51
	OpListAll         Opcode = 0x52
	OpListAppendLeft  Opcode = 0x53
	OpListPopLeft     Opcode = 0x54
	OpListPut         Opcode = 0x55
	OpListTake        Opcode = 0x56
	OpListAck         Opcode = 0x57
	OpListNack        Opcode = 0x58
	OpListExtendLease Opcode = 0x59
	OpListReturn      Opcode = 0x5a
	OpListHeld        Opcode = 0x5b
)

// Opcodes of publish and subscribe.
const (
	OpPublish     Opcode = 0x70
	OpSubscribe   Opcode = 0x71
	OpReceive     Opcode = 0x72
	OpUnsubscribe Opcode = 0x73
)

// Opcodes of locks. Only a log holds those from OpCreateLocks on.
const (
	OpLock         Opcode = 0x60
	OpUnlock       Opcode = 0x61
	OpRenewLock    Opcode = 0x62
	OpLockHolders  Opcode = 0x63
	OpComputed     Opcode = 0x64
	OpRenewCompute Opcode = 0x65
	OpCreateLocks  Opcode = 0x66
	OpLockGrant    Opcode = 0x67
	OpLockRelease  Opcode = 0x68
)

// Shape describes a request's arguments.
type Shape struct {
	Name  string // as PROTOCOL.md and log lines have it, e.g. "DICT GET"
	Table bool   // the first argument is a table's name
	Min   int    // fewest arguments, without the table's name
	Max   int    // most arguments; Many: any number up to MaxArguments
	Each  int    // with Many: the arguments from Min on come in groups of this size (2: key, value)
}

// Arity returns the number of arguments for an error text: "a table's name and 1 to 2 arguments".
func (s *Shape) Arity() string {
	text := fmt.Sprintf("%d arguments", s.Min)
	switch {
	case s.Max == Many:
		text = fmt.Sprintf("at least %d arguments", s.Min)
	case s.Max > s.Min:
		text = fmt.Sprintf("%d to %d arguments", s.Min, s.Max)
	case s.Max == 0:
		text = "no arguments"
	case s.Max == 1:
		text = "1 argument"
	}
	if s.Table {
		return "a table's name and " + text
	}
	return text
}

// Many as a Shape's Max stands for any number of arguments.
const Many = MaxArguments

// Shapes has the shape of every opcode; an unused opcode has no Name.
var Shapes = [256]Shape{
	OpPing:   {Name: "PING"},
	OpInfo:   {Name: "INFO", Max: 2},
	OpSave:   {Name: "SAVE"},
	OpCancel: {Name: "CANCEL", Min: 1, Max: 1},

	OpCreateDict: {Name: "CREATE DICT", Table: true, Min: 1, Max: Many, Each: 2},
	OpCreateList: {Name: "CREATE LIST", Table: true, Min: 1, Max: Many, Each: 1},
	OpExists:     {Name: "EXISTS", Table: true},
	OpKind:       {Name: "KIND", Table: true},
	OpTables:     {Name: "TABLES"},
	OpDrop:       {Name: "DROP", Table: true},
	OpRename:     {Name: "RENAME", Table: true, Min: 1, Max: 1},
	OpConfigure:  {Name: "CONFIGURE", Table: true, Min: 1, Max: 1},
	OpOptions:    {Name: "OPTIONS", Table: true},

	OpDictGet:           {Name: "DICT GET", Table: true, Min: 1, Max: 2},
	OpDictSet:           {Name: "DICT SET", Table: true, Min: 2, Max: 2},
	OpDictDelete:        {Name: "DICT DELETE", Table: true, Min: 1, Max: 1},
	OpDictContains:      {Name: "DICT CONTAINS", Table: true, Min: 1, Max: 1},
	OpDictLen:           {Name: "DICT LEN", Table: true},
	OpDictSetDefault:    {Name: "DICT SETDEFAULT", Table: true, Min: 2, Max: 2},
	OpDictUpdate:        {Name: "DICT UPDATE", Table: true, Min: 0, Max: Many, Each: 2},
	OpDictPop:           {Name: "DICT POP", Table: true, Min: 1, Max: 2},
	OpDictPopItem:       {Name: "DICT POPITEM", Table: true},
	OpDictClear:         {Name: "DICT CLEAR", Table: true},
	OpDictKeys:          {Name: "DICT KEYS", Table: true},
	OpDictValues:        {Name: "DICT VALUES", Table: true},
	OpDictItems:         {Name: "DICT ITEMS", Table: true},
	OpDictGetMany:       {Name: "DICT GET MANY", Table: true, Min: 0, Max: Many, Each: 1},
	OpDictIncrement:     {Name: "DICT INCREMENT", Table: true, Min: 2, Max: 2},
	OpDictCompareAndSet: {Name: "DICT COMPARE AND SET", Table: true, Min: 3, Max: 3},
	OpDictScan:          {Name: "DICT SCAN", Table: true, Min: 2, Max: 2},
	OpDictTTL:           {Name: "DICT TTL", Table: true, Min: 1, Max: 1},
	OpDictExpire:        {Name: "DICT EXPIRE", Table: true, Min: 1, Max: 1},
	OpDictTouch:         {Name: "DICT TOUCH", Table: true, Min: 1, Max: 1},
	OpDictForget:        {Name: "DICT FORGET", Table: true, Min: 1, Max: Many, Each: 3},
	OpDictHorizon:       {Name: "DICT HORIZON", Table: true, Min: 1, Max: 1},

	OpDictGetOrCompute: {Name: "DICT GET OR COMPUTE", Table: true, Min: 5, Max: 5},
	OpDictDeleteMany:   {Name: "DICT DELETE MANY", Table: true, Min: 0, Max: Many, Each: 1},

	OpListAppend:      {Name: "LIST APPEND", Table: true, Min: 1, Max: 1},
	OpListExtend:      {Name: "LIST EXTEND", Table: true, Min: 0, Max: Many, Each: 1},
	OpListInsert:      {Name: "LIST INSERT", Table: true, Min: 2, Max: 2},
	OpListGet:         {Name: "LIST GET", Table: true, Min: 1, Max: 1},
	OpListSet:         {Name: "LIST SET", Table: true, Min: 2, Max: 2},
	OpListDelete:      {Name: "LIST DELETE", Table: true, Min: 1, Max: 1},
	OpListSlice:       {Name: "LIST SLICE", Table: true, Min: 3, Max: 3},
	OpListSetSlice:    {Name: "LIST SET SLICE", Table: true, Min: 3, Max: Many, Each: 1},
	OpListDeleteSlice: {Name: "LIST DELETE SLICE", Table: true, Min: 3, Max: 3},
	OpListPop:         {Name: "LIST POP", Table: true, Min: 0, Max: 2},
	OpListRemove:      {Name: "LIST REMOVE", Table: true, Min: 1, Max: 1},
	OpListCount:       {Name: "LIST COUNT", Table: true, Min: 1, Max: 1},
	OpListIndex:       {Name: "LIST INDEX", Table: true, Min: 1, Max: 3},
	OpListReverse:     {Name: "LIST REVERSE", Table: true},
	OpListSort:        {Name: "LIST SORT", Table: true, Min: 2, Max: 2},
	OpListClear:       {Name: "LIST CLEAR", Table: true},
	OpListLen:         {Name: "LIST LEN", Table: true},
	OpListContains:    {Name: "LIST CONTAINS", Table: true, Min: 1, Max: 1},
	OpListAll:         {Name: "LIST ALL", Table: true},
	OpListAppendLeft:  {Name: "LIST APPEND LEFT", Table: true, Min: 1, Max: 1},
	OpListPopLeft:     {Name: "LIST POP LEFT", Table: true, Max: 1},
	OpListPut:         {Name: "LIST PUT", Table: true, Min: 2, Max: 2},
	OpListTake:        {Name: "LIST TAKE", Table: true, Min: 3, Max: 3},
	OpListAck:         {Name: "LIST ACK", Table: true, Min: 1, Max: 1},
	OpListNack:        {Name: "LIST NACK", Table: true, Min: 2, Max: 2},
	OpListExtendLease: {Name: "LIST EXTEND LEASE", Table: true, Min: 2, Max: 2},
	OpListReturn:      {Name: "LIST RETURN", Table: true, Min: 1, Max: Many, Each: 2},
	OpListHeld:        {Name: "LIST HELD", Table: true},

	OpLock:         {Name: "LOCK", Min: 5, Max: 5},
	OpUnlock:       {Name: "UNLOCK", Min: 2, Max: 2},
	OpRenewLock:    {Name: "RENEW LOCK", Min: 3, Max: 3},
	OpLockHolders:  {Name: "LOCK HOLDERS", Min: 1, Max: 1},
	OpComputed:     {Name: "COMPUTED", Table: true, Min: 2, Max: 2},
	OpRenewCompute: {Name: "RENEW COMPUTE", Table: true, Min: 3, Max: 3},
	OpCreateLocks:  {Name: "CREATE LOCKS", Table: true},
	OpLockGrant:    {Name: "LOCK GRANT", Table: true, Min: 3, Max: 3},
	OpLockRelease:  {Name: "LOCK RELEASE", Table: true, Min: 1, Max: 1},

	OpPublish:     {Name: "PUBLISH", Min: 2, Max: 2},
	OpSubscribe:   {Name: "SUBSCRIBE", Min: 2, Max: 2},
	OpReceive:     {Name: "RECEIVE", Min: 3, Max: 3},
	OpUnsubscribe: {Name: "UNSUBSCRIBE", Min: 1, Max: 1},
}

// String returns the opcode's name, "opcode 0x7f" for an unused one.
func (op Opcode) String() string {
	if name := Shapes[op].Name; name != "" {
		return name
	}
	const digits = "0123456789abcdef"
	return "opcode 0x" + string([]byte{digits[op>>4], digits[op&15]})
}
