;; Declares an initial memory of 4 GiB.
;;= memory
(memory (export "memory") 65536)
