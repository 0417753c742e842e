// Package tree keeps the nodes of a space and projects them into folders.
//
// A feed carries operations. Each writes registers of one node: where it is
// (Place), its attributes (Meta), its content (Content, Edit). A write lists in
// Over the earlier writes it replaces; what nobody has replaced is live. So a
// register may hold several live writes, made by people who had not seen each
// other's, and the state is a function of the set of operations alone: no
// clock, no order of arrival, no map order is in it.
//
// The projection turns nodes into what a file system can show: one name once
// in a folder, no cycles, no impossible names, conflict copies beside their
// file, and a deleted folder for as long as something in it lives.
//
// # Concurrency
//
// A State belongs to one caller; reads may run together, a change alone.
package tree
