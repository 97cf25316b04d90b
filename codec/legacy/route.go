package legacy

import "cyberdb-fast/codec"

// route is a row of the route table: it translates a request of CyberDB to the native protocol. A
// route is meant for dicts or for lists, but CyberDB applies its method to whatever the table is.
type route struct {
	named    bool        // it has the field table_name
	forLists bool        // which errors it raises if there is no table
	method   string      // Python's name in the AttributeError
	onDict   translation // nil: dicts have no such method
	onList   translation
}

// routes is the route table of CyberDB 0.9.3.
var routes = map[string]*route{
	"/connect":          both("", false, plain(codec.OpPing, replyConnected)),
	"/create_cyberdict": both("", true, create),
	"/create_cyberlist": both("", true, create),
	"/exam_cyberdict":   both("", true, plain(codec.OpExists, replyFound)),
	"/exam_cyberlist":   both("", true, plain(codec.OpExists, replyFound)),
	"/print_tables":     both("", false, plain(codec.OpTables, replyTables)),
	"/delete_table":     both("", true, plain(codec.OpDrop, replyDone)),

	"/cyberdict/repr": {
		named:  true,
		onDict: plain(codec.OpDictItems, replyDictText),
		onList: plain(codec.OpListAll, replyListText),
	},
	"/cyberdict/str": {
		named:  true,
		onDict: plain(codec.OpDictItems, replyDictText),
		onList: plain(codec.OpListAll, replyListText),
	},
	"/cyberdict/len": {
		named:  true,
		onDict: plain(codec.OpDictLen, replyValue),
		onList: plain(codec.OpListLen, replyValue),
	},
	"/cyberdict/getitem": {named: true, onDict: keyed(codec.OpDictGet, replyValue, "key"), onList: getItem("key")},
	"/cyberdict/setitem": {
		named:  true,
		onDict: keyed(codec.OpDictSet, replyDone, "key", "value"),
		onList: setItem("key"),
	},
	"/cyberdict/delitem": {
		named:  true,
		onDict: keyed(codec.OpDictDelete, replyDone, "key"),
		onList: deleteItem("key"),
	},
	"/cyberdict/todict": {
		named:  true,
		onDict: plain(codec.OpDictItems, replyDict),
		onList: plain(codec.OpListAll, replyList),
	},
	"/cyberdict/get": {named: true, method: "get", onDict: keyed(codec.OpDictGet, replyValue, "key", "default")},
	"/cyberdict/setdefault": {
		named:  true,
		method: "setdefault",
		onDict: keyed(codec.OpDictSetDefault, replyValue, "key", "default"),
	},
	"/cyberdict/update": {named: true, method: "update", onDict: update},
	"/cyberdict/keys":   {named: true, method: "keys", onDict: plain(codec.OpDictKeys, replyList)},
	"/cyberdict/values": {named: true, method: "values", onDict: plain(codec.OpDictValues, replyList)},
	"/cyberdict/items":  {named: true, method: "items", onDict: plain(codec.OpDictItems, replyPairs)},
	"/cyberdict/pop": {
		named:  true,
		onDict: keyed(codec.OpDictPop, replyValue, "key", "default"),
		onList: popOfTwo,
	},
	"/cyberdict/popitem": {named: true, method: "popitem", onDict: plain(codec.OpDictPopItem, replyPair)},
	"/cyberdict/clear": {
		named:  true,
		onDict: plain(codec.OpDictClear, replyDone),
		onList: plain(codec.OpListClear, replyDone),
	},

	"/cyberlist/repr": {
		named:    true,
		forLists: true,
		onDict:   plain(codec.OpDictItems, replyDictText),
		onList:   plain(codec.OpListAll, replyListText),
	},
	"/cyberlist/str": {
		named:    true,
		forLists: true,
		onDict:   plain(codec.OpDictItems, replyDictText),
		onList:   plain(codec.OpListAll, replyListText),
	},
	"/cyberlist/len": {
		named:    true,
		forLists: true,
		onDict:   plain(codec.OpDictLen, replyValue),
		onList:   plain(codec.OpListLen, replyValue),
	},
	"/cyberlist/getitem": {
		named:    true,
		forLists: true,
		onDict:   keyed(codec.OpDictGet, replyValue, "index"),
		onList:   getItem("index"),
	},
	"/cyberlist/setitem": {
		named:    true,
		forLists: true,
		onDict:   keyed(codec.OpDictSet, replyDone, "index", "value"),
		onList:   setItem("index"),
	},
	"/cyberlist/delitem": {
		named:    true,
		forLists: true,
		onDict:   keyed(codec.OpDictDelete, replyDone, "index"),
		onList:   deleteItem("index"),
	},
	"/cyberlist/tolist": {
		named:    true,
		forLists: true,
		onDict:   plain(codec.OpDictItems, replyDict),
		onList:   plain(codec.OpListAll, replyList),
	},
	"/cyberlist/append": {
		named:    true,
		forLists: true,
		method:   "append",
		onList:   plain(codec.OpListAppend, replyDone, "value"),
	},
	"/cyberlist/extend": {named: true, forLists: true, method: "extend", onList: extend},
	"/cyberlist/insert": {
		named:    true,
		forLists: true,
		method:   "insert",
		onList:   plain(codec.OpListInsert, replyDone, "index", "value"),
	},
	"/cyberlist/pop": {
		named:    true,
		forLists: true,
		onDict:   keyed(codec.OpDictPop, replyDone, "index"),
		onList:   plain(codec.OpListPop, replyDone, "index"),
	},
	"/cyberlist/remove": {
		named:    true,
		forLists: true,
		method:   "remove",
		onList:   plain(codec.OpListRemove, replyDone, "value"),
	},
	"/cyberlist/count": {
		named:    true,
		forLists: true,
		method:   "count",
		onList:   plain(codec.OpListCount, replyValue, "value"),
	},
	"/cyberlist/index": {
		named:    true,
		forLists: true,
		method:   "index",
		onList:   plain(codec.OpListIndex, replyValue, "value"),
	},
	"/cyberlist/reverse": {
		named:    true,
		forLists: true,
		method:   "reverse",
		onList:   plain(codec.OpListReverse, replyDone),
	},
	"/cyberlist/clear": {
		named:    true,
		forLists: true,
		onDict:   plain(codec.OpDictClear, replyDone),
		onList:   plain(codec.OpListClear, replyDone),
	},
	"/cyberlist/sort": {named: true, forLists: true, method: "sort", onList: sort},
}

// both returns a route that is the same for dicts and lists.
func both(method string, named bool, f translation) *route {
	return &route{named: named, method: method, onDict: f, onList: f}
}
