;; Wants a table of ten million.
;;= table
(table 10000000 funcref)
