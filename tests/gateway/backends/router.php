<?php
// Tells what a PHP application is told: every variable of the request, and the body.
header('Content-Type: application/json');
echo json_encode(['server' => $_SERVER, 'get' => $_GET, 'post' => $_POST, 'body' => file_get_contents('php://input')]);
