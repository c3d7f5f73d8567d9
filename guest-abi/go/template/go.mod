module hello

go 1.27

require alga v1.0.0

replace alga => ../
