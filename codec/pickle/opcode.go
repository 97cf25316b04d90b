package pickle

// Opcodes of pickles, protocols 0 to 5. Source: Lib/pickletools.py of CPython.
const (
	opMark           = '('
	opStop           = '.'
	opPop            = '0'
	opPopMark        = '1'
	opDup            = '2'
	opFloat          = 'F'
	opInt            = 'I'
	opBinInt         = 'J'
	opBinInt1        = 'K'
	opLong           = 'L'
	opBinInt2        = 'M'
	opNone           = 'N'
	opPersID         = 'P'
	opBinPersID      = 'Q'
	opReduce         = 'R'
	opString         = 'S'
	opBinString      = 'T'
	opShortBinString = 'U'
	opUnicode        = 'V'
	opBinUnicode     = 'X'
	opAppend         = 'a'
	opBuild          = 'b'
	opGlobal         = 'c'
	opDict           = 'd'
	opEmptyDict      = '}'
	opAppends        = 'e'
	opGet            = 'g'
	opBinGet         = 'h'
	opInst           = 'i'
	opLongBinGet     = 'j'
	opList           = 'l'
	opEmptyList      = ']'
	opObj            = 'o'
	opPut            = 'p'
	opBinPut         = 'q'
	opLongBinPut     = 'r'
	opSetItem        = 's'
	opTuple          = 't'
	opEmptyTuple     = ')'
	opSetItems       = 'u'
	opBinFloat       = 'G'

	// Protocol 2.
	opProto    = 0x80
	opNewObj   = 0x81
	opExt1     = 0x82
	opExt2     = 0x83
	opExt4     = 0x84
	opTuple1   = 0x85
	opTuple2   = 0x86
	opTuple3   = 0x87
	opNewTrue  = 0x88
	opNewFalse = 0x89
	opLong1    = 0x8a
	opLong4    = 0x8b

	// Protocol 3.
	opBinBytes      = 'B'
	opShortBinBytes = 'C'

	// Protocol 4.
	opShortBinUnicode = 0x8c
	opBinUnicode8     = 0x8d
	opBinBytes8       = 0x8e
	opEmptySet        = 0x8f
	opAddItems        = 0x90
	opFrozenSet       = 0x91
	opNewObjEx        = 0x92
	opStackGlobal     = 0x93
	opMemoize         = 0x94
	opFrame           = 0x95

	// Protocol 5.
	opByteArray8     = 0x96
	opNextBuffer     = 0x97
	opReadonlyBuffer = 0x98
)

// maxProtocol is the highest protocol that is read.
const maxProtocol = 5

// form says what follows an opcode.
type form struct {
	name  string // "" for a byte that is no opcode
	fixed uint8  // bytes that follow
	count uint8  // bytes of the length, before what it counts
	lines uint8  // lines of text that follow
}

// forms holds the form of every opcode.
var forms = [256]form{
	opMark: {
		name: "MARK",
	},
	opStop:    {name: "STOP"},
	opPop:     {name: "POP"},
	opPopMark: {name: "POP_MARK"},
	opDup:     {name: "DUP"},
	opFloat: {
		name:  "FLOAT",
		lines: 1,
	},
	opInt:     {name: "INT", lines: 1},
	opBinInt:  {name: "BININT", fixed: 4},
	opBinInt1: {name: "BININT1", fixed: 1},
	opLong: {
		name:  "LONG",
		lines: 1,
	},
	opBinInt2: {name: "BININT2", fixed: 2},
	opNone:    {name: "NONE"},
	opPersID:  {name: "PERSID", lines: 1},
	opBinPersID: {
		name: "BINPERSID",
	},
	opReduce:    {name: "REDUCE"},
	opString:    {name: "STRING", lines: 1},
	opBinString: {name: "BINSTRING", count: 4},
	opShortBinString: {
		name:  "SHORT_BINSTRING",
		count: 1,
	},
	opUnicode:    {name: "UNICODE", lines: 1},
	opBinUnicode: {name: "BINUNICODE", count: 4},
	opAppend: {
		name: "APPEND",
	},
	opBuild:     {name: "BUILD"},
	opGlobal:    {name: "GLOBAL", lines: 2},
	opDict:      {name: "DICT"},
	opEmptyDict: {name: "EMPTY_DICT"},
	opAppends: {
		name: "APPENDS",
	},
	opGet:    {name: "GET", lines: 1},
	opBinGet: {name: "BINGET", fixed: 1},
	opInst:   {name: "INST", lines: 2},
	opLongBinGet: {
		name:  "LONG_BINGET",
		fixed: 4,
	},
	opList:      {name: "LIST"},
	opEmptyList: {name: "EMPTY_LIST"},
	opObj:       {name: "OBJ"},
	opPut: {
		name:  "PUT",
		lines: 1,
	},
	opBinPut:     {name: "BINPUT", fixed: 1},
	opLongBinPut: {name: "LONG_BINPUT", fixed: 4},
	opSetItem:    {name: "SETITEM"},
	opTuple: {
		name: "TUPLE",
	},
	opEmptyTuple: {name: "EMPTY_TUPLE"},
	opSetItems:   {name: "SETITEMS"},
	opBinFloat:   {name: "BINFLOAT", fixed: 8},

	opProto: {
		name:  "PROTO",
		fixed: 1,
	},
	opNewObj: {name: "NEWOBJ"},
	opExt1:   {name: "EXT1", fixed: 1},
	opExt2:   {name: "EXT2", fixed: 2},
	opExt4: {
		name:  "EXT4",
		fixed: 4,
	},
	opTuple1: {name: "TUPLE1"},
	opTuple2: {name: "TUPLE2"},
	opTuple3: {name: "TUPLE3"},
	opNewTrue: {
		name: "NEWTRUE",
	},
	opNewFalse: {name: "NEWFALSE"},
	opLong1:    {name: "LONG1", count: 1},
	opLong4:    {name: "LONG4", count: 4},

	opBinBytes:      {name: "BINBYTES", count: 4},
	opShortBinBytes: {name: "SHORT_BINBYTES", count: 1},

	opShortBinUnicode: {
		name:  "SHORT_BINUNICODE",
		count: 1,
	},
	opBinUnicode8: {name: "BINUNICODE8", count: 8},
	opBinBytes8:   {name: "BINBYTES8", count: 8},
	opEmptySet: {
		name: "EMPTY_SET",
	},
	opAddItems:    {name: "ADDITEMS"},
	opFrozenSet:   {name: "FROZENSET"},
	opNewObjEx:    {name: "NEWOBJ_EX"},
	opStackGlobal: {name: "STACK_GLOBAL"},
	opMemoize:     {name: "MEMOIZE"},
	opFrame:       {name: "FRAME", fixed: 8},

	opByteArray8: {
		name:  "BYTEARRAY8",
		count: 8,
	},
	opNextBuffer:     {name: "NEXT_BUFFER"},
	opReadonlyBuffer: {name: "READONLY_BUFFER"},
}
